"""Why a `send` on an event loop is not over at once: what it has to wait for first.

Raised by the hooks of a producer that lets nobody wait (`asynchronous.loop_producer`), caught by
its `send`. No errors: like `WouldWait`, nothing that answers errors catches them.
"""

from __future__ import annotations

from typing import Any


class Postponed(BaseException):
    """A send that has to wait; nothing was done."""


class TopicNotOpen(Postponed):
    """The topic has to be looked up, or looked at again; then the send begins anew."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic


class NoRoom(Postponed):
    """`size` bytes of `buffer_memory` have to come free; then `put(*record)` goes on."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size
        self.record: tuple[Any, ...] = ()
