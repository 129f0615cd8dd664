"""Many runs: sweeps, searches and replays, and the worker processes that do the runs.

* `plan`: checks every run of a sweep, and says what is left to run.
* `sweep`: runs a plan, and records what became of lost workers.
* `launchers`: starts the workers; `submitit_jobs` does so on a cluster.
* `worker`: one worker, which runs one configuration after another.
* `fork_server`, `fork_server_preload`, `process_signals`: how worker processes start and end.
* `search`, `search_space`: Optuna picks the points of a sweep.
* `replay`: repeats a run and compares its files.
"""
