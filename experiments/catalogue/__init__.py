"""What there is to choose from, read from the YAML and Python files without importing torch or Hydra."""
