"""The figures: one file each, drawn from the CSV files alone.

A module has TABLES, the CSV files it reads, and PANELS, functions `draw(data, *, compare, colours, ax)`: `data` holds
the tables by name, with the configuration's keys as columns, and `compare` is the column whose values are the lines.
READING says how to read it. One that draws points, for probes beside trainings, and not lines over seeds, says POINTS.
"""
