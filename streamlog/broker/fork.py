"""What a forked child does with the engines of its parent: it lets go of them and says so.

The kernel gives a lock back only when the last copy of its descriptor is closed, so the child
closes its copies, and never unlocks: the lock is the parent's too. The numbers are taken over
by a descriptor that cannot be locked for writing, so that a call that is under way in compiled
code fails instead of writing through a number that the child uses for something else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def on_fork(forget: Callable[[], None]) -> None:
    """Run `forget` in every child that this process forks from now on."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


def close_copies(descriptors: list[int]) -> None:
    """Close a child's copies of its parent's descriptors, and keep their numbers taken."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for descriptor in descriptors:
        if descriptor >= 0:
            os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
