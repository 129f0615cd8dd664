"""A picture on a terminal that is drawn again and again, and leaves nothing behind."""

import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
CUT_LINES, WRAP_LINES = "\x1b[?7l", "\x1b[?7h"
ERASE_LINE, ERASE_BELOW = "\x1b[K", "\x1b[J"
TOP_LEFT = "\x1b[H"


class Frame:
    """A picture on a terminal, which may be resized at any time.

    A tall picture is on the terminal's alternate screen, as that of `top` or `less`: a terminal that becomes smaller
    wraps the lines of its first screen and moves them to where no program can erase them. Of a low picture the cursor
    stays at its first character, which the terminal moves along, so that what is below can be erased.

    What others write to the stream meanwhile goes through `write`: it is shown below a tall picture and written when
    the picture is gone; it is written above a low one at once.

    Args:
        stream: The terminal.
        tall: Whether the picture may have more than a few lines.
    """

    current: "ClassVar[Frame | None]" = None
    """The picture that is on the terminal."""

    def __init__(self, stream: TextIO, *, tall: bool) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False)
        self._stream, self._tall = stream, tall
        self._home = TOP_LEFT if tall else "\r"
        self._lock = threading.RLock()
        self._is_begun = False
        self._written = ""

    def draw(self, picture: "RenderableType") -> None:
        """Draw it in place of what is there, as much as there is room for."""
        with self._lock:
            with self.console.capture() as captured:
                self.console.print(picture)
            written = self._written.splitlines()
            lines = captured.get().splitlines()[: max(1, self.console.height - len(written))]
            lines = [*lines, *written][-self.console.height :]
            begin = HIDE_CURSOR + OTHER_SCREEN * self._tall
            *above, last = lines
            self._put(
                ("" if self._is_begun else begin) + self._home + CUT_LINES,
                *(f"{ERASE_LINE}{line}\r\n" for line in above),
                f"{ERASE_BELOW}{last}" + (f"\x1b[{len(above)}A" if above else "") + f"\r{WRAP_LINES}",
            )
            self._is_begun = True

    def write(self, text: str) -> int:
        """Take what is written to the stream while the picture is there."""
        with self._lock:
            if self._tall and self._is_begun:
                self._written += text
                self._put(TOP_LEFT, ERASE_BELOW, self._written.replace("\n", "\r\n"))
            else:
                self._put(f"\r{ERASE_BELOW}" * self._is_begun, text)
        return len(text)

    def _put(self, *texts: str) -> None:
        self._stream.write("".join(texts))
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's, for those who write."""
        return getattr(self._stream, name)

    def __enter__(self) -> Self:
        Frame.current = self
        return self

    def __exit__(self, *_: object) -> None:
        Frame.current = None
        with self._lock:
            if self._is_begun:
                gone = FIRST_SCREEN if self._tall else f"\r{ERASE_BELOW}"
                self._put(gone, SHOW_CURSOR, self._written)
            self._is_begun = False
