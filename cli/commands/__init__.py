"""The commands of `bptt`, one module each; a command's docstring is its `--help` text."""
