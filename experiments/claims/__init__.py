"""The claims of the literature, and their evaluation on the runs of a study."""
