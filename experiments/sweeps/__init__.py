"""Many runs: sweeps, searches and replays, and the worker processes that do the runs."""
