"""Partitions moved into a broker: it is stopped, its files are replaced, it is started again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.interop.rig import client
from tests.interop.rig.broker import Broker

CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
_SEGMENT_SUFFIXES = {".log", ".index", ".timeindex", ".txnindex", ".snapshot"}


def hand_over(broker: Broker, partitions: Mapping[str, Path], *, recover: bool) -> None:
    """Give the running broker new topics whose only partition has the files of another log.

    `partitions` maps topic names to the folders to take segments from. With `recover` the
    indexes, the snapshots and the mark of a clean stop are withheld: the broker checks every
    batch and makes its own indexes. Without it the broker is told that all is well, and serves
    with the indexes and producer snapshots that it was given.
    """
    client.create_topics(broker.bootstrap, dict.fromkeys(partitions, 1))
    broker.stop()
    wanted = {".log"} if recover else _SEGMENT_SUFFIXES
    for topic, source in partitions.items():
        target = broker.data / f"{topic}-0"
        for path in segment_files(target):
            path.unlink()
        for path in segment_files(source):
            if path.suffix in wanted:
                shutil.copy(path, target / path.name)
    if recover:
        (broker.data / CLEAN_SHUTDOWN).unlink()
    broker.start()


def segment_files(partition: Path) -> list[Path]:
    """Segments, indexes and snapshots of a partition's folder, in order."""
    return sorted(path for path in partition.iterdir() if path.suffix in _SEGMENT_SUFFIXES)


def log_bytes(partition: Path) -> dict[str, bytes]:
    """The content of each `.log` file of a partition's folder."""
    return {path.name: path.read_bytes() for path in sorted(partition.glob("*.log"))}
