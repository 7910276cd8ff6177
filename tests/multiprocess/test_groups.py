"""Members in four processes that are killed, stopped and asked to leave.

Every record is read by somebody, no partition is had by two at a time, and what is committed never
goes back. The harness finds each planted bug first.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import streamlog
from tests.machine.sizes import SEED
from tests.multiprocess import grouping
from tests.multiprocess.grouping import GROUP, PARTITIONS, PLANTS, TOPIC, Witness
from tests.multiprocess.nursery import Child, Nursery, open_nursery

MEMBERS = 4
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def group_nursery() -> Iterator[Nursery]:
    with open_nursery(roles=["tests.multiprocess.grouping"]) as opened:
        yield opened


class Member:
    """A child that is a member, and a thread that listens to it."""

    def __init__(self, nursery: Nursery, path: str, planted: str) -> None:
        self.child: Child = nursery.start("member", path=path, planted=planted)
        self.witness = Witness()
        self.heard = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        import json

        while line := self.child.read_line():
            with self.heard:
                self.witness.hear(json.loads(line))
                self.heard.notify_all()

    def stop(self) -> None:
        """Have it stop itself in the middle of work: it has read, and not committed."""
        with self.heard:  # it hears of nothing before it says anything
            assert self.heard.wait_for(lambda: self.witness.kinds, PATIENCE_S)
        self.child.signal(signal.SIGUSR1)

    def end(self, number: signal.Signals) -> Witness:
        """Send it a signal that ends it, and hear it out."""
        self.child.signal(number)
        self.child.wait()
        self._thread.join(PATIENCE_S)
        self.witness.close()
        return self.witness


class Crowd:
    """Members come and go while somebody writes."""

    def __init__(self, nursery: Nursery, log: streamlog.StreamLog, seed: int, planted: str) -> None:
        self._nursery = nursery
        self._log = log
        self._random = random.Random(seed)
        self._planted = planted
        self._written = 0
        self.gone: list[Witness] = []
        self.broken: list[str] = []  # what did not hold, once all is over
        self.members = [self.start() for _ in range(MEMBERS)]

    def start(self) -> Member:
        return Member(self._nursery, self._log.path, self._planted)

    @property
    def witnesses(self) -> list[Witness]:
        return [*self.gone, *(member.witness for member in self.members)]

    def write(self, count: int = 200) -> None:
        with self._log.producer(acks=1) as producer:
            for _ in range(count):
                partition = self._written % PARTITIONS
                producer.send(TOPIC, b"%d" % self._written, partition=partition)
                self._written += 1

    def happen(self) -> None:
        """One thing that happens to one of them; another takes its place if it is gone."""
        index = self._random.randrange(MEMBERS)
        member = self.members[index]
        match self._random.choice(["kill", "stop", "leave"]):
            case "kill":
                self.gone.append(member.end(signal.SIGKILL))
                self.members[index] = self.start()
            case "leave":
                self.gone.append(member.end(signal.SIGTERM))
                self.members[index] = self.start()
            case "stop":
                member.stop()
                self.write()
                member.child.wait_until_stopped()
                self.wait_until_fenced(member)
                member.child.signal(signal.SIGCONT)

    def wait_until_fenced(self, member: Member) -> None:
        """Until the group has no member of that process any more, and what it had was read on."""
        coordinator = self._log.engine().groups.coordinator_of(GROUP)
        suffix = f":{member.child.pid}"
        deadline = threading.Event()
        timer = threading.Timer(PATIENCE_S, deadline.set)
        timer.start()
        while True:
            bell = self._log.engine().bell()
            coordinator.settle()
            if not any(host.endswith(suffix) for host in coordinator.members):
                break
            assert not deadline.is_set(), "it is still a member"
            self._log.engine().wait(bell, 0.05)
        timer.cancel()

    def wait_until_read(self) -> None:
        """Until every record was read by somebody."""
        deadline = threading.Event()
        timer = threading.Timer(PATIENCE_S, deadline.set)
        timer.start()
        while missing := grouping.unread(self._log, self.witnesses):
            assert not deadline.is_set(), f"nobody reads {missing}"
            with self.members[0].heard:
                self.members[0].heard.wait(0.05)
        timer.cancel()

    def end(self) -> None:
        self.gone += [member.end(signal.SIGTERM) for member in self.members]
        self.members = []


@contextmanager
def crowd(nursery: Nursery, path: Path, seed: int, planted: str = "") -> Iterator[Crowd]:
    with streamlog.open(str(path / "log"), housekeeping=False) as log:
        log.create_topic(TOPIC, PARTITIONS)
        found = Crowd(nursery, log, seed, planted)
        yield found
        found.end()
        found.broken = grouping.overlaps(found.gone) + grouping.steps_back(log)


def live(found: Crowd, rounds: int) -> None:
    for _ in range(rounds):
        found.write()
        found.happen()
    found.write()


@pytest.mark.parametrize("planted", PLANTS)
def test_the_harness_finds_a_planted_bug(
    group_nursery: Nursery, memory_path: Path, planted: str
) -> None:
    broken: list[str] = []
    for seed in range(8):
        with crowd(group_nursery, memory_path / str(seed), seed, planted) as found:
            live(found, 6)
        broken += found.broken
        if any(PLANTS[planted] in each for each in broken):
            return
    pytest.fail(f"it was not found: {broken}")


def test_work_is_shared_by_processes_that_die_and_hang(
    group_nursery: Nursery, memory_path: Path
) -> None:
    with crowd(group_nursery, memory_path, SEED) as found:
        live(found, 12)
        found.wait_until_read()
    assert found.broken == []
    heard = set().union(*(witness.kinds for witness in found.gone))
    assert {"assigned", "revoked", "read", "committed"} <= heard


def test_what_a_killed_member_had_is_anothers_at_once(
    group_nursery: Nursery, memory_path: Path
) -> None:
    with crowd(group_nursery, memory_path, SEED) as found:
        found.write()
        found.wait_until_read()
        for _ in range(3):
            found.gone.append(found.members.pop().end(signal.SIGKILL))
            found.write(PARTITIONS)
            found.wait_until_read()
    assert found.broken == []
