"""Opening to read only: every byte stays as it was, beside a writer and after one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

import streamlog
from streamlog.broker.engine import Engine
from streamlog.errors import NotALogDirectoryError, ReadOnlyError
from streamlog.record import layout
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.format_number import FORMAT
from streamlog.storage.read_only import load_for_reading
from tests.broker.conftest import OpenEngine, append, read
from tests.storage.folder_builder import Folder, flip


def fingerprint(path: str) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in Path(path).rglob("*")
        if file.is_file()
    }


@pytest.fixture
def written(open_engine: OpenEngine) -> Engine:
    engine = open_engine()
    engine.create_topic("a", 2, {"internal_segment_bytes": 200})
    for number in range(9):
        append(engine.partition("a", 0), b"%d" % number * 50)
    return engine


def values(engine: Engine, partition: int = 0) -> list[bytes | None]:
    return [value for _, value in read(engine.partition("a", partition))]


EXPECTED = [b"%d" % number * 50 for number in range(9)]


def test_a_torn_tail_is_not_read_whichever_bit_is_wrong(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a-0")
    whole, torn = folder.append_many(2)
    right = folder.file(".log").read_bytes()
    for position in range(torn.position + layout.CRC_AT, torn.end):
        flip(folder.file(".log"), position)
        state = load_for_reading(OS_FILESYSTEM, str(folder.path), 0, None)
        assert (state.log_end, state.end_position) == (whole.next_offset, whole.end)
        folder.file(".log").write_bytes(right)


def test_a_closed_directory_is_read_and_not_changed(
    written: Engine, open_engine: OpenEngine, path: str
) -> None:
    written.close()
    before = fingerprint(path)
    engine = open_engine(read_only=True)
    assert engine.topic("a").partitions == 2
    assert values(engine) == EXPECTED
    assert values(engine, 1) == []
    for change in (
        lambda: engine.create_topic("b"),
        lambda: engine.delete_topic("a"),
        lambda: engine.create_partitions("a", 3),
        lambda: append(engine.partition("a", 0), b"x"),
        engine.sync,
    ):
        with pytest.raises(ReadOnlyError):
            change()
    engine.close()
    assert fingerprint(path) == before


def test_beside_a_writer_it_sees_what_is_published(
    written: Engine, open_engine: OpenEngine
) -> None:
    engine = open_engine(read_only=True)
    assert engine is not written
    assert values(engine) == EXPECTED
    append(written.partition("a", 1), b"late")
    seen = engine.bell()
    assert values(engine, 1) == [b"late"]
    append(written.partition("a", 1), b"later")
    assert engine.wait(seen, 30)
    assert values(engine, 1) == [b"late", b"later"]
    written.create_topic("b")
    assert list(engine.topics()) == ["a", "b"]
    assert not engine.wait(engine.bell(), 0.01)


def test_a_torn_tail_is_not_read_and_not_cut(
    written: Engine, open_engine: OpenEngine, path: str
) -> None:
    last = max((Path(path) / "a-0").glob("*.log"))
    written.close()
    with last.open("ab") as file:
        file.write(b"\0\0\0\0\0\0\0\x09torn")
    before = fingerprint(path)
    assert values(open_engine(read_only=True)) == EXPECTED
    assert fingerprint(path) == before


def test_what_is_not_there_is_not_made(open_engine: OpenEngine, path: str) -> None:
    with pytest.raises(NotALogDirectoryError):
        open_engine(read_only=True)
    assert not os.path.exists(path)
    os.makedirs(path)
    with pytest.raises(NotALogDirectoryError):
        open_engine(read_only=True)
    assert os.listdir(path) == []


def test_a_newer_format_may_be_read(written: Engine, open_engine: OpenEngine, path: str) -> None:
    written.close()
    (Path(path) / "streamlog.properties").write_text(f"format={FORMAT + 1}\n")
    assert values(open_engine(read_only=True)) == EXPECTED


def test_a_poll_that_does_not_wait_sees_what_was_appended_since(tmp_path):
    with streamlog.open(tmp_path) as log:
        log.create_topic("orders")
        with (
            streamlog.open(tmp_path, read_only=True) as reader,
            reader.consumer("orders") as consumer,
            log.producer() as producer,
        ):
            assert consumer.poll(timeout_ms=0) == []
            producer.send("orders", b"one").result()
            assert [record.value for record in consumer.poll(timeout_ms=0)] == [b"one"]
