"""The Hydra configuration: config.yaml and a folder for each group of choices."""
