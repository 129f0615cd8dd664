"""What can be wrong, and how an error is said in one line."""


def in_a_line(error: BaseException) -> str:
    """An error's kind and message, without the breaks that a message may have."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class UsageError(Exception):
    """A bad command line, configuration or path: one line that names the key, the value and what would do."""


class DamagedRun(UsageError):
    """A run's folder that cannot be read.

    Attributes:
        what: What is wrong with it, without the folder.
    """

    def __init__(self, folder: object, what: str) -> None:
        super().__init__(f"{folder}: {what}; make the run again with --fresh, or delete the folder")
        self.what = what
