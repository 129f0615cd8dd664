"""Experiments: train and measure networks, and analyse the results of many runs.

Data flows one way: configuration -> task and network -> training, watched by measures -> CSV files -> analysis ->
figures, claims and reports. Everything after the CSV files reads only them and imports no torch.
"""
