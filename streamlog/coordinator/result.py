"""What goes into a coordinator and comes out: contexts, records, replies, results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from streamlog.coordinator.timers import TimerChange
from streamlog.protocol.coordinator_records import OFFSETS

if TYPE_CHECKING:
    from streamlog.coordinator.classic.group import ClassicGroup

PROCESS_HOST = "process:"
"""How the client host of a member begins that lives in a process and sends no heartbeats.

What follows is up to the caller: it is stored with the member, so that whoever finds a process
dead can tell from the log which members died with it.
"""


class Instant(NamedTuple):
    """One moment on both clocks, in integer milliseconds.

    What goes into records is the wall clock's, which may jump; deadlines are the monotonic one's.
    """

    wall_ms: int
    monotonic_ms: int


class RequestContext(msgspec.Struct, frozen=True):
    """Who asks. `token` comes back with the reply, whenever that is; the coordinator only keeps it.

    `client_host` is what Kafka shows: "/127.0.0.1" for a connection, or `PROCESS_HOST` and a name.
    """

    token: Any
    api_version: int
    client_id: str = ""
    client_host: str = ""

    @property
    def is_in_process(self) -> bool:
        """Whether the asker lives in a process that has the log open, and not in the network."""
        return self.client_host.startswith(PROCESS_HOST)


class Reply(NamedTuple):
    """A response value on its way to the request that came with `token`."""

    token: Any
    response: Any


class CoordinatorRecord:
    """A record of `__consumer_offsets`: Kafka's key and value structures. No value: a tombstone."""

    __slots__ = ("_encoded", "key", "value", "version")

    def __init__(self, key: Any, value: Any, version: int | None = None) -> None:
        self.key = key
        self.value = value
        self.version = version
        self._encoded: tuple[bytes, bytes | None] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoordinatorRecord):
            return NotImplemented
        return (self.key, self.value) == (other.key, other.value)

    __hash__ = None  # type: ignore[assignment]  # its structures can change

    def __repr__(self) -> str:
        return f"CoordinatorRecord({self.key!r}, {self.value!r})"

    def encode(self) -> tuple[bytes, bytes | None]:
        """The key's and the value's bytes, as they go into the log."""
        if self._encoded is None:
            value = self.value
            self._encoded = (
                OFFSETS.encode_key(self.key),
                None if value is None else OFFSETS.encode_value(value, self.version),
            )
        return self._encoded


class Result(msgspec.Struct):
    """A decision: nothing has happened yet.

    `records` go into the log as one batch, on the condition that nothing came between; then they
    are replayed and the result is applied, which hands out `replies` and changes what is
    volatile: `timers`, and the classic groups as they will be then (None: forgotten). A result
    that is dropped leaves nothing behind. `more` says that the same request has more to do.
    """

    records: list[CoordinatorRecord]
    replies: list[Reply]
    timers: list[TimerChange]
    classic: dict[str, ClassicGroup | None]
    seen: frozenset[tuple[str, str]]
    applied_before: int
    more: bool = False
