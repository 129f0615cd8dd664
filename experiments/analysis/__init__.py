"""What the CSV files of runs say: summary.csv, gain and horizon, intervals, findings in words."""
