"""The tasks, one file each: what the network reads, what it should answer, and what chance scores."""
