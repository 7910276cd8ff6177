"""Roles with a plot: what a process goes through while others look on.

A role that says a word and then stops itself (SIGSTOP) waits for the test to continue it: that
is how two processes are brought to an exact place without a clock.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any

import streamlog
from streamlog.errors import (
    ForkedHandleError,
    RecordTooLargeError,
    StreamlogError,
    UnknownTopicError,
)
from tests.multiprocess.saying import answer


def stop_here(pipe: int, word: str) -> None:
    """Say where this process is, and stand still until it is continued."""
    answer(pipe, word)
    os.kill(os.getpid(), signal.SIGSTOP)


def open_and_close(pipe: int, path: str, times: int) -> None:
    """Open, append one record, read how many there are, close: over and over."""
    for number in range(times):
        with streamlog.open(path) as log, log.producer(acks=1) as producer:
            producer.send("flights", b"%d/%d" % (os.getpid(), number), partition=0).result()
    answer(pipe, os.getpid())


def open_when_continued(pipe: int, path: str) -> None:
    """Open at the same moment as others; how many records there are, and who recovered."""
    stop_here(pipe, "ready")
    with streamlog.open(path) as log:
        report = log.engine().report
        answer(pipe, [sum(1 for _ in log.read("flights")), report is not None])
        stop_here(pipe, "open")


def write_and_be_killed(pipe: int, path: str, count: int) -> None:
    with streamlog.open(path) as log:
        log.create_topic("flights", partitions=1)
        producer = log.producer(acks=1)
        producer.send_many("flights", [b"%d" % number for number in range(count)]).result()
        answer(pipe, "written")
        signal.pause()


def send_in_order(pipe: int, path: str, values: list[str]) -> None:
    """Send values of one length; what is called "synced" is on the disk before the next."""
    with streamlog.open(path) as log:
        for value in values:
            producer = log.producer(acks="all" if value == "synced" else 1)
            producer.send("flights", value.encode().ljust(50)).result()
        answer(pipe, "sent")
        signal.pause()


def recover_slowly(pipe: int, path: str) -> None:
    """Stand still in the middle of a recovery."""
    from streamlog.broker import recovering

    genuine = recovering.recover_partition

    def recover_partition(*arguments: Any, **named: Any) -> Any:
        found = genuine(*arguments, **named)
        if named["topic"] == "flights":
            stop_here(pipe, "recovering")
        return found

    recovering.recover_partition = recover_partition
    with streamlog.open(path):
        answer(pipe, "recovered")


def open_or_fail(pipe: int, path: str, lock_timeout_ms: int) -> None:
    try:
        with streamlog.open(path, lock_timeout_ms=lock_timeout_ms) as log:
            answer(pipe, [value.decode() for value in _values(log)])
    except StreamlogError as error:
        answer(pipe, type(error).__name__)


def hold_partition(pipe: int, path: str) -> None:
    """Stand still while holding a partition's lock, as a debugger would make it."""
    with streamlog.open(path) as log:
        with log.engine().partition("flights", 0).locked():
            stop_here(pipe, "holding")
        answer(pipe, "let go")


def tail(pipe: int, path: str) -> None:
    """Say each record as it comes; ends with the value b"end"."""
    with streamlog.open(path) as log, log.consumer("flights") as consumer:
        answer(pipe, "listening")
        for record in consumer:
            answer(pipe, record.value.decode())
            if record.value == b"end":
                break


def lock_like_a_broker(pipe: int, path: str) -> None:
    """Hold a POSIX lock on the whole `.lock` file, as Java's FileChannel.lock() does."""
    with open(f"{path}/.lock", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        stop_here(pipe, "locked")


def keep_handles(pipe: int, path: str) -> None:
    """Have handles on a topic that is deleted and made again by somebody else meanwhile."""
    with streamlog.open(path) as log:
        producer = log.producer(acks=1)
        producer.send("flights", b"old", partition=0).result()
        consumer = log.consumer("flights", auto_offset_reset="earliest")
        kept = consumer.poll_batches(timeout_ms=5000)
        log.engine().partition("flights", 0)
        stop_here(pipe, "holding")
        found: dict[str, object] = {}
        try:
            found["consumed"] = [bytes(record.value).decode() for record in consumer.poll(0)]
        except StreamlogError as error:
            found["consumed"] = type(error).__name__
        found["offset"] = producer.send("flights", b"new", partition=0).result().offset
        found["values"] = [value.decode() for value in _values(log)]
        found["kept"] = [bytes(record.value).decode() for batch in kept for record in batch]
        answer(pipe, found)


def use_many_partitions(pipe: int, path: str, partitions: int, descriptors: int) -> None:
    """Write to and read from many partitions with few descriptors."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    with streamlog.open(path) as log:
        log.create_topic("many", partitions=partitions)
        with log.producer(acks=1, linger_ms=1000) as producer:
            for _ in range(2):
                for number in range(partitions):
                    producer.send("many", b"%d" % number, partition=number)
                producer.flush()
        with log.consumer("many", auto_offset_reset="earliest") as consumer:
            seen = 0
            while records := consumer.poll(timeout_ms=0, max_records=10_000):
                assert all(record.value == b"%d" % record.partition for record in records)
                seen += len(records)
            before = resource.getrusage(resource.RUSAGE_SELF)
            idle = consumer.poll(timeout_ms=1000)
            after = resource.getrusage(resource.RUSAGE_SELF)
            open_files = len(os.listdir("/proc/self/fd"))
    idle_cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answer(pipe, {"seen": seen, "open_files": open_files, "idle": [len(idle), idle_cpu_s]})


def fork_with_an_open_log(pipe: int, path: str) -> None:
    """Fork with everything open and a record that lingers; both sides go on."""
    with streamlog.open(path) as log:
        log.create_topic("flights", partitions=1)
        producer = log.producer(acks=1, linger_ms=60_000)
        consumer = log.consumer("flights", auto_offset_reset="earliest")
        lingering = producer.send("flights", b"of the parent")
        pid = os.fork()
        if pid == 0:
            answer(pipe, _use_in_child(log, producer, consumer, lingering))
            sys.exit(0)  # as a program ends: exit handlers run
        _, status = os.waitpid(pid, 0)
        after = [value.decode() for value in _values(log)]
        lingering.result()
        answer(pipe, [status, after, [value.decode() for value in _values(log)]])


def _use_in_child(log: Any, producer: Any, consumer: Any, lingering: Any) -> dict[str, str]:
    def outcome(call: Any) -> str:
        try:
            return str(call())
        except ForkedHandleError as error:
            return type(error).__name__

    found = {
        "send": outcome(lambda: producer.send("flights", b"x")),
        "flush": outcome(producer.flush),
        "poll": outcome(lambda: consumer.poll(0)),
        "result": outcome(lingering.result),
        "producer.close": outcome(producer.close),
    }
    with log.producer(acks=1) as own:
        place = own.send("flights", b"of the child").result()
        found["own"] = f"{place.topic}-{place.partition}"
    found["read"] = str([value.decode() for value in _values(log)])
    log.close()
    return found


def send_what_is_allowed(pipe: int, path: str, size: int) -> None:
    """Send the same record over and over; say when that begins to be refused, or to be accepted."""
    with streamlog.open(path) as log:
        producer = log.producer(acks=1, linger_ms=0)
        said = ""
        while said != "gone":
            try:
                producer.send("flights", b"x" * size).result()
                outcome = "accepted"
            except RecordTooLargeError:
                outcome = "refused"
            except UnknownTopicError:
                outcome = "gone"
            if outcome != said:
                said = outcome
                answer(pipe, said)
        stop_here(pipe, "stopped")
        with suppress(UnknownTopicError):  # the last word on the old one, if that was not said
            answer(pipe, producer.send("flights", b"x").result().offset)
            return
        answer(pipe, producer.send("flights", b"x").result().offset)


def send_everywhere(pipe: int, path: str, partitions: int) -> None:
    """Send records without keys until all partitions have some; say each when it is reached."""
    reached: set[int] = set()
    with streamlog.open(path) as log, log.producer(acks=1, batch_size=1) as producer:
        while len(reached) < partitions:
            partition = producer.send("flights", b"x").result().partition
            if partition not in reached:
                reached.add(partition)
                answer(pipe, partition)


def send_numbers(pipe: int, path: str, count: int) -> None:
    """Send numbers, some one by one and some by the hundred; say what failed."""
    with streamlog.open(path) as log, log.producer(acks=1, linger_ms=1) as producer:
        answer(pipe, "begun")
        failed: list[str] = []
        for start in range(0, count, 200):
            futures = [producer.send("flights", _number(start + n)) for n in range(100)]
            values = [_number(start + n) for n in range(100, 200)]
            many = producer.send_many("flights", values)
            offsets = [future.result().offset for future in futures if not future.exception()]
            failed += [str(future.exception()) for future in futures if future.exception()]
            failed += [str(many.exception())] if many.exception() else []
            if not failed:
                assert offsets == list(range(start, start + 100))
                assert many.result()[0].base_offset == start + 100
    answer(pipe, failed[:3])


def follow_numbers(pipe: int, path: str, count: int) -> None:
    """Read numbers as they come; say the first that is out of place, or how many there were."""
    with streamlog.open(path) as log, log.consumer("flights") as consumer:
        answer(pipe, "listening")
        for expected, record in enumerate(consumer):
            if record.value != _number(expected):
                answer(pipe, f"{record.value!r} instead of {expected} at {record.offset}")
                return
            if expected + 1 == count:
                break
    answer(pipe, count)


def _number(number: int) -> bytes:
    return b"%d" % number + b"." * (number % 97)


def _values(log: streamlog.StreamLog) -> list[bytes]:
    return [bytes(record.value) for record in log.read("flights", partition=0)]
