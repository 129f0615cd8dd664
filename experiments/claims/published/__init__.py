"""The claims, one file each: what is claimed, by whom, and how it is measured."""
