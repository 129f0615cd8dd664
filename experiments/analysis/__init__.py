"""What is computed from the CSV files of runs: summary.csv, gain and horizon, intervals, findings in words."""
