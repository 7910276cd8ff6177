"""Which producer snapshots a folder holds after closes and rolls: those that Kafka keeps."""

from __future__ import annotations

from pathlib import Path

import streamlog


def offsets(folder: Path, suffix: str) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob(f"*{suffix}"))


def append_and_close(path: Path, count: int) -> None:
    with streamlog.open(path) as log:
        if "a" not in log.topics():
            log.create_topic("a", internal_segment_bytes=2000)
        with log.producer(enable_idempotence=True, acks="all", linger_ms=0) as producer:
            for _ in range(count):
                producer.send("a", bytes(500)).result()


def test_the_end_of_a_former_close_is_forgotten_at_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "a-0"
    for closed in (1, 2):
        append_and_close(tmp_path / "log", 1)
        assert offsets(folder, ".snapshot") == [closed]


def test_snapshots_at_segments_and_at_the_end_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "a-0"
    end = 0
    for count in (5, 2, 7):
        append_and_close(tmp_path / "log", count)
        end += count
        bases = offsets(folder, ".log")
        assert len(bases) > 1
        assert offsets(folder, ".snapshot") == sorted({*bases, end} - {0})
