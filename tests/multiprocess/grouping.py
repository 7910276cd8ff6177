"""Members of a group in processes of their own, and what must hold of all that they report.

Each line that a member says is `[kind, monotonic ns, ...]`: what it was assigned, what it is about
to give up, what it read, what it committed. The log of `__consumer_offsets` is the other witness.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from itertools import pairwise
from typing import Any

import streamlog
from streamlog import TopicPartition
from streamlog.coordinator.consumer import rebalance
from streamlog.coordinator.offsets import commit
from streamlog.errors import MemberFencedError
from streamlog.protocol.coordinator_records import OFFSETS
from streamlog.storage.names import OFFSETS_TOPIC
from tests.multiprocess.saying import answer

TOPIC, GROUP = "work", "workers"
PARTITIONS = 8
MAX_POLL_INTERVAL_MS = 700

HERE, ASSIGNED, REVOKED, LOST, READ, COMMITTED, FENCED = (
    "here", "assigned", "revoked", "lost", "read", "committed", "fenced",
)  # fmt: skip
#: Bugs, and a word of how each is found.
PLANTS = {"no waiting": "while another had it", "commits of anybody": " after "}


def plant(name: str) -> None:
    """Plant a bug in this process; "" plants none."""
    assert name in ("", *PLANTS), name
    if name == "no waiting":  # who is to have a partition gets it, whoever has it still
        reconcile = rebalance.reconcile
        rebalance.reconcile = lambda *what: reconcile(*what[:3], lambda _: None)
    elif name == "commits of anybody":
        commit._check_committer = lambda *_: commit._anything  # type: ignore[assignment]


# ---------------------------------------------------------------- in a child


class _Orders:
    """What the parent asks for by a signal: to stop in the middle of work, or to leave."""

    def __init__(self) -> None:
        self.stop = self.leave = False
        signal.signal(signal.SIGUSR1, self._take)
        signal.signal(signal.SIGTERM, self._take)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def _take(self, number: int, _: object) -> None:
        self.stop = self.stop or number == signal.SIGUSR1
        self.leave = self.leave or number == signal.SIGTERM


def member(pipe: int, path: str, planted: str = "") -> None:
    """Read what the group assigns, say what was read, commit it, and say so."""
    plant(planted)
    orders = _Orders()

    def say(kind: str, *what: object) -> None:
        answer(pipe, [kind, time.monotonic_ns(), *what])

    def telling(kind: str) -> Any:
        return lambda partitions: say(kind, [each.partition for each in partitions])

    with streamlog.open(path, housekeeping=False) as log:
        consumer = log.consumer(
            TOPIC,
            group_id=GROUP,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            max_poll_records=20,
            on_assign=telling(ASSIGNED),
            on_revoke=telling(REVOKED),
            on_lost=telling(LOST),
        )
        say(HERE)
        while not orders.leave:
            try:
                found = consumer.poll_by_partition(100)
                for (_, partition), records in found.items():
                    say(READ, partition, [record.offset for record in records])
                if orders.stop:
                    orders.stop = False
                    os.kill(os.getpid(), signal.SIGSTOP)
                if found:
                    consumer.commit()
                    say(COMMITTED)
            except MemberFencedError:
                say(FENCED)
        consumer.close()


# ---------------------------------------------------------------- in the parent


class Witness:
    """What one member said, as far as it was heard."""

    def __init__(self) -> None:
        self.read: dict[int, set[int]] = defaultdict(set)
        self.kinds: set[str] = set()
        self.owned: dict[int, int] = {}
        #: By partition: since when, until when it had it. An end that it never told is None.
        self.intervals: list[tuple[int, int, int | None]] = []

    def hear(self, line: Any) -> None:
        kind, now_ns, *what = line
        self.kinds.add(kind)
        if kind == READ:
            partition, offsets = what
            self.read[partition].update(offsets)
        elif kind == ASSIGNED:
            self.owned.update(dict.fromkeys(what[0], now_ns))
        elif kind in (REVOKED, LOST):
            for partition in what[0]:
                end = now_ns if kind == REVOKED else None
                self.intervals.append((partition, self.owned.pop(partition), end))

    def close(self) -> None:
        """It will say no more."""
        self.intervals += [(partition, begin, None) for partition, begin in self.owned.items()]
        self.owned.clear()


def overlaps(witnesses: list[Witness]) -> list[str]:
    """Partitions that a member got before the one that had it gave it up."""
    found = []
    spans = sorted(span for witness in witnesses for span in witness.intervals)
    for (partition, begin, end), (other, later, _) in pairwise(spans):
        if partition == other and end is not None and later < end:
            found.append(f"{partition} was given at {later}, while another had it from {begin}")
    return found


def steps_back(log: streamlog.StreamLog) -> list[str]:
    """Committed offsets that are smaller than those committed before."""
    found, last = [], dict.fromkeys(range(PARTITIONS), 0)
    number = log.engine().groups.partition_of(GROUP)
    for record in log.read(OFFSETS_TOPIC, number):
        if record.key[:2] != b"\0\1" or record.value is None:
            continue
        key = OFFSETS.decode_key(record.key)
        value = OFFSETS.decode_value(key, record.value)
        if value.offset < last[key.partition]:
            found.append(f"{key.partition}: {value.offset} after {last[key.partition]}")
        last[key.partition] = value.offset
    return found


def unread(log: streamlog.StreamLog, witnesses: list[Witness]) -> dict[int, int]:
    """How many records of each partition nobody has read."""
    ends = log.admin.end_offsets([TopicPartition(TOPIC, n) for n in range(PARTITIONS)])
    missing = {}
    for partition, end in ends.items():
        seen = set().union(*(witness.read[partition.partition] for witness in witnesses))
        missing[partition.partition] = len(set(range(end)) - seen)
    return {partition: count for partition, count in missing.items() if count}
