"""A month of flights shared by a group of processes, one of which is killed; no server runs.

    python examples/groups.py [--directory DIR]

Three worker processes are the members of one consumer group and add up delays while the flights
come in. Half way one of them is killed with -9: the others have its partitions at once, and go on
where it had committed. Then all of them leave, and confluent-kafka, where it is installed, goes on
with the same group, over Kafka's own protocol.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, NamedTuple

import streamlog

DATA = Path(__file__).parent / "data"
TOPIC, GROUP = "flights", "delays"
PARTITIONS = 6
WORKERS = ("Ada", "Grace", "Hedy")
LAST_DAY = "31"  # is left for confluent-kafka
CHUNK = 500
PATIENCE_S = 60.0

Days = dict[str, list[dict[str, str]]]


def flights_by_day() -> Days:
    days: Days = defaultdict(list)
    with gzip.open(DATA / "flights-2013-01.csv.gz", "rt", newline="") as file:
        for flight in csv.DictReader(file):
            days[flight["day"]].append(flight)
    return days


def append(producer: streamlog.Producer, flights: list[dict[str, str]]) -> None:
    """A plane's flights go to one partition, so that they stay in order."""
    producer.send_many(
        TOPIC,
        [json.dumps(flight).encode() for flight in flights],
        keys=[flight["tailnum"].encode() for flight in flights],
    ).result()


# ------------------------------------------------------------------ a worker


class Has(NamedTuple):
    """The partitions that a worker has from now on, `at` some time of the monotonic clock."""

    partitions: frozenset[int]
    at: float


class Processed(NamedTuple):
    """A worker has processed records: minutes late by partition and offset."""

    minutes_late: dict[tuple[int, int], int]


def work(directory: str, reports: Connection, is_over: Event) -> None:
    """Process what the group's member gets, then commit it, until told to leave."""
    mine: set[int] = set()

    def on_assign(partitions: list[streamlog.TopicPartition]) -> None:
        mine.update(each.partition for each in partitions)
        reports.send(Has(frozenset(mine), time.monotonic()))

    def on_revoke(partitions: list[streamlog.TopicPartition]) -> None:
        mine.difference_update(each.partition for each in partitions)
        reports.send(Has(frozenset(mine), time.monotonic()))

    with (
        streamlog.open(directory) as log,
        log.consumer(group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False) as me,
    ):
        me.subscribe([TOPIC], on_assign=on_assign, on_revoke=on_revoke)
        while not is_over.is_set():
            records = me.poll(timeout_ms=50, max_records=CHUNK)
            if records:
                late = {
                    (each.partition, each.offset): minutes_late(json.loads(each.value))
                    for each in records
                }
                reports.send(Processed(late))
                reports.recv()  # the main process says when to commit
                me.commit()


def minutes_late(flight: dict[str, str]) -> int:
    delay = flight["dep_delay"]
    return 0 if delay == "NA" else int(delay)


# ------------------------------------------------------------------ the group


class Group:
    """The workers, and what they have reported."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._spawn = multiprocessing.get_context("spawn")
        self._workers: dict[str, tuple[Any, Connection]] = {}
        self.has: dict[str, frozenset[int]] = {}
        self.shared_at = 0.0
        self.times_processed: Counter[tuple[int, int]] = Counter()
        self.minutes_late: dict[tuple[int, int], int] = {}  # an offset counts once
        self.last_to_process = ""
        self._is_over = self._spawn.Event()

    def start(self, name: str) -> None:
        ours, theirs = self._spawn.Pipe()
        arguments = (self._directory, theirs, self._is_over)
        process = self._spawn.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._workers[name] = (process, ours)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Take reports until something is so; then the last to process may not commit yet."""
        while not is_so():
            self._let_commit(self.last_to_process)
            name, report = self._next_report()
            self._note(name, report)

    def _let_commit(self, name: str) -> None:
        if name in self._workers:
            self._workers[name][1].send("commit")
        self.last_to_process = ""

    def _next_report(self) -> tuple[str, Has | Processed]:
        ends = {connection: name for name, (_, connection) in self._workers.items()}
        for connection in wait(list(ends), PATIENCE_S):
            assert isinstance(connection, Connection)
            try:
                return ends[connection], connection.recv()
            except EOFError:
                raise SystemExit(f"{ends[connection]} ended by itself") from None
        raise SystemExit(f"no worker has said anything for {PATIENCE_S} s")

    def _note(self, name: str, report: Has | Processed) -> None:
        if isinstance(report, Has):
            self.has[name] = report.partitions
            self.shared_at = max(self.shared_at, report.at)
        else:
            self.times_processed.update(report.minutes_late.keys())
            self.minutes_late.update(report.minutes_late)
            self.last_to_process = name

    def is_shared(self) -> bool:
        """Whether every worker has some partitions, and all have all of them."""
        shares = [self.has.get(name, frozenset()) for name in self._workers]
        return all(shares) and sorted(each for s in shares for each in s) == list(range(PARTITIONS))

    def kill(self, name: str) -> float:
        """With -9. Returns when that was."""
        process, _ = self._workers.pop(name)
        del self.has[name]
        at = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return at

    def leave(self) -> None:
        """All of them, when each has committed what it processed."""
        self._is_over.set()
        for name, (process, _) in self._workers.items():
            self._let_commit(name)
            process.join()


def describe(log: streamlog.StreamLog) -> tuple[int, int]:
    """How many members the group has and how many records it is behind, as anybody may see it."""
    group = log.admin.describe_groups([GROUP])[GROUP]
    ends = log.admin.end_offsets(streamlog.TopicPartition(TOPIC, n) for n in range(PARTITIONS))
    committed = sum(each.committed or 0 for each in group.offsets.values())
    return len(group.members), sum(ends.values()) - committed


def share_the_work(log: streamlog.StreamLog, directory: str, days: Days) -> None:
    """Three workers, one of which is killed while flights come in."""
    flights = [flight for day in days.values() for flight in day]
    half = len(flights) // 2
    group = Group(directory)
    for name in WORKERS:
        group.start(name)
    group.wait_until(group.is_shared)
    print(f"  {len(WORKERS)} processes share {PARTITIONS} partitions: {named(group.has)}")

    with log.producer() as producer:
        append(producer, flights[:half])
        group.wait_until(lambda: len(group.minutes_late) > half // 2)
        members, lag = describe(log)
        print(f"  {len(group.minutes_late):,} flights processed; {members} members, lag {lag:,}")
        kill_one(group)
        append(producer, flights[half:])
    group.wait_until(lambda: len(group.minutes_late) == len(flights))
    group.leave()

    again = group.times_processed.total() - len(group.minutes_late)
    total = sum(group.minutes_late.values())
    if total != sum(minutes_late(flight) for flight in flights):
        raise SystemExit(f"the delays add up to {total:,} minutes, which is wrong")
    print(f"  all {len(flights):,} flights processed: {total:,} minutes late, as the file says;")
    print(f"    {again} were processed again: who was killed had not committed them")
    members, lag = describe(log)
    print(f"  all workers have left: {members} members, lag {lag:,}")


def kill_one(group: Group) -> None:
    """Who has processed records and not committed them: the others have them to do again."""
    victim = group.last_to_process
    lost = sorted(group.has[victim])
    killed_at = group.kill(victim)
    group.wait_until(group.is_shared)
    took = (group.shared_at - killed_at) * 1000
    print(f"  killed {victim} (-9); {took:.0f} ms later the others had {lost} as well:")
    print(f"    {named(group.has)}")


def named(has: dict[str, frozenset[int]]) -> str:
    return ", ".join(f"{name} {sorted(has[name])}" for name in WORKERS if name in has)


# ------------------------------------------------------------------ another client


def go_on_with_confluent_kafka(log: streamlog.StreamLog, flights: list[dict[str, str]]) -> None:
    """The last day is read by librdkafka, over a socket, where the workers have committed."""
    try:
        from confluent_kafka import Consumer
    except ImportError:
        print("  left out: confluent-kafka is not installed (pip install confluent-kafka)")
        return
    with log.producer() as producer:
        append(producer, flights)
    with log.listen() as listener:
        consumer = Consumer(
            {
                "bootstrap.servers": listener.bootstrap_servers,
                "group.id": GROUP,
                "auto.offset.reset": "earliest",  # where nobody has committed: nowhere here
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([TOPIC])
        seen: list[dict[str, str]] = []
        while len(seen) < len(flights):
            messages = consumer.consume(len(flights) - len(seen), timeout=PATIENCE_S)
            if not messages:
                raise SystemExit(f"{len(seen):,} of {len(flights):,} flights came")
            for message in messages:
                if error := message.error():
                    raise SystemExit(error.str())
                seen.append(json.loads(message.value() or b""))
        consumer.commit(asynchronous=False)
        days = sorted({flight["day"] for flight in seen})
        members, lag = describe(log)
        print(f"  confluent-kafka at {listener.bootstrap_servers}, the same group and topic:")
        print(f"    {len(seen):,} flights, of day {', '.join(days)} alone")
        print(f"    as seen in process: {members} member, lag {lag:,}")
        consumer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--directory", help="keep the log here (default: a temporary directory)")
    options = parser.parse_args()
    days = flights_by_day()
    last = days.pop(LAST_DAY)
    with tempfile.TemporaryDirectory(prefix="streamlog-") as temporary:
        directory = options.directory or os.path.join(temporary, "flights")
        with streamlog.open(directory) as log:
            if TOPIC in log.topics():
                raise SystemExit(f"{directory} has flights already: name a new directory")
            log.create_topic(TOPIC, partitions=PARTITIONS)
            print(f"A group of processes, in {directory} ({streamlog.kernel} kernel)")
            share_the_work(log, directory, days)
            print("The same group with another client")
            go_on_with_confluent_kafka(log, last)


if __name__ == "__main__":
    main()
