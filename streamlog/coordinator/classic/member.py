"""A classic group's member: immutable, replaced in its group when it changes."""

from __future__ import annotations

import msgspec

from streamlog.coordinator.result import RequestContext

Protocols = tuple[tuple[str, bytes], ...]


class ClassicMember(msgspec.Struct, frozen=True):
    """One member. `protocols` are names and metadata, the one that it likes best first.

    `joining` and `syncing` are the requests of it that are parked. `is_new` until it was told of
    its first generation.
    """

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    is_new: bool = False
    joining: RequestContext | None = None
    syncing: RequestContext | None = None

    @property
    def is_static(self) -> bool:
        return self.instance_id is not None

    @property
    def is_parked(self) -> bool:
        """Whether it waits for an answer, and cannot be expected to send heartbeats."""
        return not self.is_new and (self.joining is not None or self.syncing is not None)

    def metadata(self, protocol_name: str | None) -> bytes:
        """What it said for that protocol; nothing where it does not have it."""
        return dict(self.protocols).get(protocol_name or "", b"")

    def vote(self, candidates: set[str]) -> str:
        """The first of its protocols that everybody has."""
        return next(name for name, _ in self.protocols if name in candidates)
