"""What child processes do in the tests of places; see `tests.multiprocess.nursery`."""

from __future__ import annotations

import os
from typing import Any

import streamlog
from streamlog.errors import StreamlogError
from streamlog.storage.cleaner_checkpoint import announce_cleaning
from tests.multiprocess.lives import stop_here
from tests.multiprocess.saying import answer


def stay_open(pipe: int, path: str, value: str = "child's") -> None:
    """Have the directory open; append when continued, say what there is, and close."""
    with streamlog.open(path) as log:
        stop_here(pipe, "open")
        log.producer(acks=1).send("flights", value.encode()).result()
        answer(pipe, [record.value.decode() for record in log.read("flights")])
    answer(pipe, "closed")


def open_as(
    pipe: int, path: str, user: int, group: int, mode: int = 0o600, read_only: bool = False
) -> None:
    """As another user: append a record, where that is allowed, and say what there is."""
    _become(user, group)
    try:
        with streamlog.open(path, mode=mode, read_only=read_only) as log:
            if not read_only:
                log.producer(acks=1).send("flights", b"by %d" % user).result()
            stop_here(pipe, "open")
            answer(pipe, [record.value.decode() for record in log.read("flights")])
    except StreamlogError as error:
        answer(pipe, [type(error).__name__, str(error)])


def _become(user: int, group: int) -> None:
    """What is imported late has to be there before: the files may be closed to that user."""
    with streamlog.open(":memory:") as log:
        log.create_topic("flights")
        log.producer(acks=1).send("flights", b"").result()
        list(log.read("flights"))
    os.umask(0o007)
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def restructure(pipe: int, path: str, steps: int) -> None:
    """Exchange segments of "flights" as a cleaner does, and stand still after so many steps."""
    from tests.storage.test_structure import exchange

    with streamlog.open(path) as log:
        partition = log.engine().partition("flights", 0)
        log.sync()
        metadata_log, synced_to = log.engine().metadata.log, partition.state().base_offset
        announce_cleaning(metadata_log, partition, 0, synced_to)
        partition.writer.lock_structure()
        work: Any = exchange(partition)
        for _ in range(steps):
            next(work)
        stop_here(pipe, "restructuring")
        for _ in work:
            pass
        partition.writer.unlock_structure()
    answer(pipe, "closed")


def make_as(pipe: int, path: str, user: int, group: int, mode: int) -> None:
    """As another user: make the directory and its topic, then as `open_as`."""
    _become(user, group)
    with streamlog.open(path, mode=mode) as log:
        log.create_topic("flights")
        log.producer(acks=1).send("flights", b"by %d" % user).result()
        stop_here(pipe, "open")
        answer(pipe, [record.value.decode() for record in log.read("flights")])
