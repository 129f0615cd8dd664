"""From KEY=VALUE on the command line to a checked configuration, and from there to the objects of a run."""
