"""The claims of the literature, one module each: what is claimed, by whom, and how it is measured."""
