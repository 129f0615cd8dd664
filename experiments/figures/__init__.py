"""The figures: one file each, drawn from the CSV files alone.

A module has TABLES, the CSV files it reads (summary: a row a run, with the configuration's keys), and PANELS, functions
`draw(data, *, compare, colours, ax)`: `data` holds the tables by name, and `compare` is the column whose values are the
lines. READING says how to read it.

What else one may have:

* RUNS: the trainings (default), the probes, or all.
* select(data): the rows that it is about; where one table is left empty, NOTHING says why there is no figure.
* EACH: a panel for each compared value, as maps need it. norm(data) then gives their common scale to each `draw`.
* AXES: the configuration keys on its axes, by the argument of `draw` that names them; None: one that differs.
* COLOURED: `draw` takes the column of summary.csv that is the colour.
* SPREAD: what stands for several seeds, in the caption.
"""

ORDER = (
    *("gradient_flow", "gradient_map", "contributions", "contribution_map", "training", "clipping", "gates"),
    *("success", "horizon", "phase", "spectrum", "prediction"),
)
"""In which they are shown; a figure that is not named comes last."""
