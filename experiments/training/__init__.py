"""The execution of one run: the training loop, the probe, checkpoints and run.json.

- `run.py` and `probe.py` train or probe the network of one configuration.
- `execution.py` locks the folder, starts or resumes the run, and records how it ends.
- `loop.py` is the training loop: it computes the loss, backpropagates, clips, updates and calls the measures.
- `checkpoint.py` saves and loads the state of an interrupted training.
- `run_json.py` fills in run.json, with help from `provenance.py`, `user_files.py` and `theory.py`.
- `overflow.py`, `denormals.py` and `memory.py` deal with the limits of floating-point numbers and of memory.
- `seeding.py` makes the random number generators, and `tensorboard.py` mirrors the tables in an event file.
"""
