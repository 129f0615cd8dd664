"""The measures of the gradient: one file each, one CSV file each, all defined in the README of `results/`."""
