"""A progress bar on stderr: how much is done, how fast, how long it will take.

    [#########---------------------]  31 %  2.1 GiB of 6.8 GiB  1.3 GiB/s  0:00:03 left

On a terminal the line is drawn over itself; elsewhere, when asked for, a new line now and then.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import IO, Self

from streamlog.cli.output import size_text
from streamlog.clock import SYSTEM_CLOCK, Clock

_WIDTH = 30
_DRAW_SECONDS = 0.1
_LINE_SECONDS = 2.0


class Progress:
    """`with Progress(...) as progress:`, then `progress.update(done_bytes, total_bytes)`.

    `wanted` None shows it when `stream` is a terminal. A total of 0 is not known. Leaving the
    block removes the bar from a terminal.
    """

    def __init__(
        self,
        wanted: bool | None = None,
        *,
        stream: IO[str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream is not None and self._stream.isatty()
        self._shown = self._terminal if wanted is None else wanted and self._stream is not None
        self._pause = _DRAW_SECONDS if self._terminal else _LINE_SECONDS
        self._started = self._drawn = clock.monotonic()
        self._length = 0
        self.done = 0

    def update(self, done: int, total: int = 0) -> None:
        """Show how much is done; cheap, and drawn ten times a second at most."""
        self.done = done
        if not self._shown:
            return
        now = self._clock.monotonic()
        if now - self._drawn >= self._pause:
            self._drawn = now
            self._draw(render(done, total, now - self._started))

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self._clock.monotonic() - self._started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._terminal and self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()

    def _draw(self, text: str) -> None:
        if self._terminal:
            self._stream.write("\r" + text.ljust(self._length))
            self._length = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


def render(done: int, total: int, seconds: float) -> str:
    """The bar as a line of text."""
    rate = done / seconds if seconds > 0 else 0.0
    speed = f"{size_text(rate)}/s"
    if total <= 0:
        return f"{size_text(done)}  {speed}"
    share = min(done / total, 1.0)
    bar = "#" * int(share * _WIDTH)
    left = _duration((total - done) / rate) if rate > 0 else "-:--:--"
    return (
        f"[{bar.ljust(_WIDTH, '-')}] {share:4.0%}  "
        f"{size_text(done)} of {size_text(total)}  {speed}  {left} left"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(-int(-max(seconds, 0.0) // 1), 60)  # rounded up
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
