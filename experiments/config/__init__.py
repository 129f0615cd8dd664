"""From KEY=VALUE on the command line to a checked configuration, and from there to the objects of a run.

* `composing`: one run; `grid`: the runs of a sweep.
* `hydra_composer`, `hydra_errors`, `hydra_internals`: all that talks to Hydra.
* `overrides`, `hydra_keys`, `user_folder`: what is done before Hydra is asked.
* `schema`, `typed_values`, `targets`: the types that values are checked against.
* `parts`: the objects that a checked configuration is built into.
"""
