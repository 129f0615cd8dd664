"""What can be wrong with what the user asked for."""


class UsageError(Exception):
    """A bad command line, configuration or path: one line that names the key, the value and what would do."""
