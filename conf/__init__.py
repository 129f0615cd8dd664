"""The Hydra configuration: config.yaml with the defaults, and a folder of YAML files for each group of choices."""
