"""Experiments: one run, and what is made of many.

The data flows one way: configuration -> task and network -> training, watched by measures -> CSV files -> analysis ->
figures. Everything after the CSV files reads nothing but them and imports no torch.
"""
