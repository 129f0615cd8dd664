"""The tasks: what the network reads, what it should answer, and what chance scores. One file each."""
