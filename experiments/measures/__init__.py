"""The measures, one file each. Each writes one CSV file; the README of `results/` defines the columns."""
