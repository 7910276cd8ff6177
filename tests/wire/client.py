"""What a scenario asks of any of Kafka's clients: the same few verbs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

TIMEOUT_S = 30.0

Result = TypeVar("Result")


class Sent(NamedTuple):
    """A record to send."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int = 1_700_000_000_000


class Seen(NamedTuple):
    """A record that was read."""

    offset: int
    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class Client:
    """What a scenario says. Each call makes the client it needs and closes it."""

    name: str

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def produce(
        self,
        topic: str,
        records: Sequence[Sent],
        *,
        codec: str = "none",
        acks: int = -1,
        idempotent: bool = False,
    ) -> list[int]:
        """Send to partition 0, all in flight together; the offsets as acknowledged."""
        raise NotImplementedError

    def read(self, topic: str, offset: int, count: int) -> list[Seen]:
        """So many records of partition 0 from an offset on, by assignment."""
        raise NotImplementedError

    def offset_at(self, topic: str, timestamp_ms: int) -> int | None:
        """The first offset of partition 0 at or after a time, or None."""
        raise NotImplementedError

    def ends(self, topic: str) -> tuple[int, int]:
        """The first offset of partition 0, and the one behind its last."""
        raise NotImplementedError

    def create_topic(self, topic: str, partitions: int, settings: dict[str, str]) -> None:
        raise NotImplementedError

    def delete_topic(self, topic: str) -> None:
        raise NotImplementedError

    def add_partitions(self, topic: str, total: int) -> None:
        raise NotImplementedError

    def describe_configs(self, topic: str) -> dict[str, str]:
        raise NotImplementedError

    def topics(self) -> dict[str, int]:
        """How many partitions each topic has."""
        raise NotImplementedError


def raise_first(errors: Sequence[Any]) -> None:
    for error in errors:
        if error[1] != 0:
            raise RuntimeError(f"error code {error[1]}")
