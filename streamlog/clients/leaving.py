"""The end of a `with` block whose closing fails too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from streamlog.errors import StreamlogError


@contextmanager
def leaving(error: BaseException | None) -> Iterator[None]:
    """Around closing at the end of a block that `error` leaves: it is not replaced.

    What closing raises becomes a note of it; without an `error` it is raised.
    """
    try:
        yield
    except StreamlogError as failure:
        if error is None:
            raise
        error.add_note(f"closing failed too, with {type(failure).__name__}: {failure}")
