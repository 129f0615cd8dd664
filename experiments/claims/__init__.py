"""The claims of the literature, held against the runs of a study."""
