"""Text in a terminal that is redrawn in place and disappears at the end, such as the live progress of a sweep."""

import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ALTERNATE_SCREEN, MAIN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
CUT_LINES, WRAP_LINES = "\x1b[?7l", "\x1b[?7h"
ERASE_LINE, ERASE_BELOW = "\x1b[K", "\x1b[J"
TOP_LEFT = "\x1b[H"


class RedrawnText:
    """A block of text in a terminal that is redrawn in place. The terminal may be resized at any time.

    A tall block uses the terminal's alternate screen, as `top` and `less` do: when a terminal gets smaller, it wraps
    the lines of its main screen and moves them to where no program can erase them. For a low block, the cursor stays at
    the block's first character; the terminal moves it along with the text, so everything below it can be erased.

    Other output to the stream goes through `write`. Below a tall block it is shown at once, and written to the main
    screen when the block disappears. For a low block it is written above the block at once.

    Args:
        stream: Stream of the terminal.
        tall: Whether the block may have more than a few lines.
    """

    current: "ClassVar[RedrawnText | None]" = None
    """The block that is on the terminal now."""

    def __init__(self, stream: TextIO, *, tall: bool) -> None:
        from rich.console import Console

        self.console = Console(file=stream, highlight=False)
        self._stream, self._tall = stream, tall
        self._home = TOP_LEFT if tall else "\r"
        self._lock = threading.RLock()
        self._is_drawn = False
        self._written = ""

    def draw(self, content: "RenderableType") -> None:
        """Replace the block by new content, cut to the height of the terminal."""
        with self._lock:
            with self.console.capture() as captured:
                self.console.print(content)
            written = self._written.splitlines()
            lines = captured.get().splitlines()[: max(1, self.console.height - len(written))]
            lines = [*lines, *written][-self.console.height :]
            begin = HIDE_CURSOR + ALTERNATE_SCREEN * self._tall
            *above, last = lines
            self._put(
                ("" if self._is_drawn else begin) + self._home + CUT_LINES,
                *(f"{ERASE_LINE}{line}\r\n" for line in above),
                f"{ERASE_BELOW}{last}" + (f"\x1b[{len(above)}A" if above else "") + f"\r{WRAP_LINES}",
            )
            self._is_drawn = True

    def write(self, text: str) -> int:
        """Write other output to the stream while the block is there."""
        with self._lock:
            if self._tall and self._is_drawn:
                self._written += text
                self._put(TOP_LEFT, ERASE_BELOW, self._written.replace("\n", "\r\n"))
            else:
                self._put(f"\r{ERASE_BELOW}" * self._is_drawn, text)
        return len(text)

    def _put(self, *texts: str) -> None:
        self._stream.write("".join(texts))
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Attributes of the stream: the block replaces `sys.stderr` while it is there."""
        return getattr(self._stream, name)

    def __enter__(self) -> Self:
        RedrawnText.current = self
        return self

    def __exit__(self, *_: object) -> None:
        RedrawnText.current = None
        with self._lock:
            if self._is_drawn:
                erase = MAIN_SCREEN if self._tall else f"\r{ERASE_BELOW}"
                self._put(erase, SHOW_CURSOR, self._written)
            self._is_drawn = False
