"""Make the directory that stands for a state of the format, with the streamlog that is installed.

    python tests/compatibility/make_directory.py tests/compatibility/directories

writes `FORMAT-closed.tar.xz` and `FORMAT-killed.tar.xz`, where FORMAT is what the directory says
of itself, and beside each a `.json` of what must be read from it. Run it with the last version
that has a number, once; what it wrote is never written again. It uses nothing but the public API,
so that it runs with every version there was, and needs no other file of the tests.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import streamlog

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000
SMALL_SEGMENTS = {"internal_segment_bytes": 2048, "index_interval_bytes": 256}

ODD_BYTES = bytes(range(0, 256, 9))
KEYS = (None, b"", b"key", ODD_BYTES)
VALUES = (b"value " * 9, None, b"", ODD_BYTES)
HEADERS: tuple[list[tuple[str, bytes | None]], ...] = (
    [],
    [("a", b"1")],
    [("same", b""), ("same", None), ("größe", ODD_BYTES)],
)


def fill(log: streamlog.StreamLog) -> None:
    """Topics that use what there is: codecs, segments, partitions, settings, a deleted topic."""
    for codec in CODECS:
        log.create_topic(f"codec-{codec}")
        _send(log, f"codec-{codec}", 24, compression_type=codec)
    log.create_topic("segments", **SMALL_SEGMENTS)
    _send(log, "segments", 60, enable_idempotence=True, acks="all")
    log.create_topic("partitions", partitions=3)
    _send(log, "partitions", 30, partitions=3)
    log.create_topic("stamped", message_timestamp_type="LogAppendTime", compression_type="lz4")
    _send(log, "stamped", 12)
    log.create_topic("compacted", cleanup_policy="compact", max_message_bytes=1_000_000)
    with log.producer() as producer:
        producer.send_many("compacted", [b"old", b"new"], keys=[b"k", b"k"]).result()
    log.create_topic("empty", partitions=2)
    log.create_topic("deleted")
    _send(log, "deleted", 5)
    log.delete_topic("deleted")
    if hasattr(log.admin, "delete_records"):
        log.create_topic("trimmed", **SMALL_SEGMENTS)
        _send(log, "trimmed", 40)
        log.admin.delete_records({streamlog.TopicPartition("trimmed", 0): 25})
    # Given to the operating system and not to the disk: what a killed process leaves.
    _send(log, "segments", 7, enable_idempotence=False, acks=1)


def _send(
    log: streamlog.StreamLog, topic: str, count: int, *, partitions: int = 1, **settings: Any
) -> None:
    with log.producer(batch_size=512, linger_ms=1000, **settings) as producer:
        for number in range(count):
            producer.send(
                topic,
                VALUES[number % len(VALUES)],
                KEYS[number // 3 % len(KEYS)],
                HEADERS[number % len(HEADERS)],
                partition=number % partitions,
                timestamp_ms=START_MS + number * 10 - number % 5 * 30,
            )


def contents(log: streamlog.StreamLog) -> dict[str, Any]:
    """Everything that is read from a log, as JSON has it: by topic, then by partition."""
    return {
        name: {
            "partitions": topic.partitions,
            "settings": dict(sorted(topic.settings.items())),
            "records": [
                [_plain(record) for record in _read(log, name, partition)]
                for partition in range(topic.partitions)
            ],
        }
        for name, topic in sorted(log.topics().items())
    }


def _read(log: streamlog.StreamLog, topic: str, partition: int) -> Iterator[Any]:
    start = log.admin.describe_partitions(topic)[partition].log_start
    return iter(log.read(topic, partition, start))


def _plain(record: Any) -> list[Any]:
    return [
        record.offset,
        record.timestamp,
        int(record.timestamp_type),
        record.leader_epoch,
        _text(record.key),
        _text(record.value),
        [[name, _text(value)] for name, value in record.headers],
    ]


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def make(directory: str, *, close: bool) -> dict[str, Any]:
    """Fill `directory` and end cleanly, or as if killed: in a child. What must be read from it."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        _fill_and_end(directory, writing, close=close)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said: dict[str, Any] = json.loads(pipe.read())
    os.wait()
    return said


def _fill_and_end(directory: str, pipe: int, *, close: bool) -> NoReturn:
    log = streamlog.open(directory)
    fill(log)
    said = contents(log)
    if close:
        log.close()
    with open(pipe, "wb") as writer:
        writer.write(json.dumps(said).encode())
    os._exit(0)


def pack(directory: Path, archive: Path) -> None:
    """A `.tar.xz` that says nothing of who made it, where, and when."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with io.BytesIO() as data:
        with tarfile.open(fileobj=data, mode="w:xz", preset=9) as tar:
            for path in sorted(directory.rglob("*")):
                tar.add(path, str(path.relative_to(directory)), recursive=False, filter=anonymous)
        archive.write_bytes(data.getvalue())


def main(destination: Path) -> None:
    for how in ("closed", "killed"):
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder, "log")
            said = make(str(directory), close=how == "closed")
            text = (directory / "streamlog.properties").read_text()
            name = f"{text.partition('format=')[2].strip()}-{how}"
            pack(directory, destination / f"{name}.tar.xz")
            (destination / f"{name}.json").write_text(
                json.dumps(said, separators=(",", ":")).replace('},"', '},\n"') + "\n"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
