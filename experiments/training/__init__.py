"""One run: the training loop, the probe, checkpoints, and what run.json records of it."""
