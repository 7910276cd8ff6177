"""Loops of bare system calls: what nothing that keeps its data in a file can beat."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from rig.ours import new_log


def one_record_batch(scratch: Path, value: bytes) -> bytes:
    """The very bytes that streamlog writes for one record, as a file holds them."""
    with new_log(scratch) as log:
        log.create_topic("log")
        with log.producer(acks=1) as producer:
            producer.send("log", value).result()
        return Path(log.path, "log-0", f"{0:020d}.log").read_bytes()


def append_times(path: Path, batch: bytes, count: int, *, synced: bool) -> list[float]:
    """The seconds of each of `count` appends to a new file: `pwrite` and maybe `fdatasync`."""
    seconds = []
    clock = time.perf_counter
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    sync: Callable[[int], None] = os.fdatasync if synced else _nothing
    position = 0
    for _ in range(count):
        began = clock()
        position += os.pwrite(descriptor, batch, position)
        sync(descriptor)
        seconds.append(clock() - began)
    os.close(descriptor)
    path.unlink()
    return seconds


def has_disk(directory: Path) -> bool:
    """Whether a sync in `directory` reaches a disk (it does not on tmpfs)."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    inside = [m for m in mounts if directory.resolve().is_relative_to(m[1])]
    return max(inside, key=lambda mount: len(mount[1]))[2] not in {"tmpfs", "ramfs"}


def _nothing(_descriptor: int) -> None:
    return None
