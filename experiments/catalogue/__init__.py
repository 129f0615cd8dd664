"""The choices, studies and figures that exist, read from YAML and Python files without importing torch or Hydra."""
