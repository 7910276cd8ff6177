"""What child processes do in the tests of backups; see `tests.multiprocess.nursery`."""

from __future__ import annotations

import itertools
import os
import signal
from typing import Any

import streamlog
from streamlog.storage.filesystem import Filesystem
from tests.multiprocess.saying import answer

#: What changes a disk, by which a dying process may have got or not.
_STEPS = "open write_all copy fsync link mkdir rename exchange unlink rmdir sync_directory".split()


def back_up(pipe: int, path: str, target: str, at: int, names_change_places: bool) -> None:
    """Make a backup, be killed before the `at`-th step of it (0: never), and say how many."""
    log = streamlog.open(path, housekeeping=False)
    steps = itertools.count(1)
    taken = [0]

    def counted(genuine: Any) -> Any:
        def step(*arguments: Any, **named: Any) -> Any:
            taken[0] = next(steps)
            if taken[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return genuine(*arguments, **named)

        return step

    if not names_change_places:
        Filesystem.exchange = lambda *_: False  # type: ignore[method-assign]
    for name in _STEPS:
        setattr(Filesystem, name, counted(getattr(Filesystem, name)))
    log.backup(target)
    answer(pipe, taken[0])


def write_causes_and_effects(pipe: int, path: str, writer: int) -> None:
    """Write a number to `causes`, then to `effects`, then say it; over and over."""
    with (
        streamlog.open(path, housekeeping=False) as log,
        log.producer(acks=1, linger_ms=0) as producer,
    ):
        for number in itertools.count():
            value = b"%d/%d/" % (writer, number) + b"x" * (number % 50)
            for topic in ("causes", "effects"):
                producer.send(topic, value, partition=writer % 2).result()
            answer(pipe, number)


def change_everything(pipe: int, path: str) -> None:
    """Delete records, roll, create and delete topics, apply retention; over and over."""
    with streamlog.open(path) as log:
        for number in itertools.count():
            passing = f"passing-{number}"
            log.create_topic(passing, internal_segment_bytes=1000)
            with log.producer(acks=1) as producer:
                for _ in range(10):
                    producer.send(passing, b"x" * 300).result()
            log.engine().partition("deleted", 0).roll(now_ms=0)
            with log.producer(acks=1) as producer:
                producer.send("deleted", b"x" * 300).result()
            end = log.engine().partition("deleted", 0).log_end
            log.admin.delete_records({streamlog.TopicPartition("deleted", 0): max(end - 3, 0)})
            log.admin.apply_retention()
            if number:
                log.delete_topic(f"passing-{number - 1}")
            answer(pipe, number)
