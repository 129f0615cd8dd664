"""The command line: reads it, calls `experiments`, prints. Heavy imports wait until a command needs them."""
