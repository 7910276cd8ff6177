"""Tells handles in a forked child that they are their parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """A handle that has to know when it woke up in a child."""

    def forked_in_child(self) -> None:
        """Called in the child, by the only thread there is, before anything else runs."""


_handles: weakref.WeakSet[Forkable] = weakref.WeakSet()


def watch_forks(handle: Forkable) -> None:
    """Call `handle.forked_in_child()` in every child, for as long as the handle lives."""
    _handles.add(handle)


def _tell_handles() -> None:
    for handle in list(_handles):
        handle.forked_in_child()


os.register_at_fork(after_in_child=_tell_handles)
