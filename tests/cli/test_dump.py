from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import streamlog
from streamlog.cli import dumping
from streamlog.cli.walking import Damage, walk
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.format_number import FORMAT
from tests.cli.conftest import Run

SEGMENT = "00000000000000000000"


def test_batches_as_a_table(run: Run, directory: Path) -> None:
    lines = run("dump", directory, "orders-0").lines
    assert lines[0] == f"orders, partition 0  ({directory}/orders-0)"
    assert lines[1] == f"{directory}/orders-0/{SEGMENT}.log"
    assert lines[2].split()[:4] == ["OFFSETS", "RECORDS", "POSITION", "BYTES"]
    assert lines[3].split()[:3] == ["0..4", "5", "0"]
    assert lines[3].split()[4:] == ["none", "2023-11-14T22:13:28.000Z", "0"]
    assert len(lines) == 7


def test_records_for_people_cannot_move_the_cursor(run: Run, directory: Path) -> None:
    lines = run("dump", directory, "odd", "--records").lines
    assert lines[-3].split("Z  ")[1] == ("null = base64://4=  [trace: base64:/wA=, none: null]")
    assert lines[-2].split("Z  ")[1] == '"deleted" = null'
    assert lines[-1].split("Z  ")[1] == '"" = "a\\x1b[31m\\"ü"'


def test_json_has_batches_and_records(run: Run, directory: Path) -> None:
    found = run("dump", directory, "orders", "--records", "--json").objects
    batches = [each for each in found if each["type"] == "batch"]
    records = [each for each in found if each["type"] == "record"]
    assert [each["base_offset"] for each in batches] == [0, 5, 10, 15] * 2
    assert sum(each["count"] for each in batches) == len(records) == 40
    assert records[1]["key"] == "k2"
    assert records[1]["timestamp"] == 1_700_000_002_000
    assert all(each["problem"] is None for each in batches)


def test_a_range_and_a_limit(run: Run, directory: Path) -> None:
    def offsets(*arguments: str) -> list[int]:
        found = run("dump", directory, "orders-1", "--json", *arguments).objects
        kind = "record" if "--records" in arguments else "batch"
        name = "offset" if "--records" in arguments else "base_offset"
        return [each[name] for each in found if each["type"] == kind]

    assert offsets("--from", "7", "--until", "12") == [5, 10]
    assert offsets("--from", "7", "--until", "12", "--records") == [7, 8, 9, 10, 11]
    assert offsets("--from", "7", "--limit", "2", "--records") == [7, 8]
    assert offsets("--limit", "3") == [0, 5, 10]
    assert offsets("--from", "99") == []


def test_records_that_are_deleted_are_told_from_those_that_are_not(
    run: Run, directory: Path
) -> None:
    with streamlog.open(directory) as log:
        log.admin.delete_records({streamlog.TopicPartition("orders", 0): 7})
        live = run("dump", directory, "orders-0").lines
    closed = run("dump", directory, "orders-0").lines
    assert live == closed
    assert closed[1] == "  (the log starts at 7: records before it are deleted)"
    remarks = [line.rsplit("  ", 1)[-1].strip() for line in closed[4:]]
    assert remarks == ["deleted", "deleted in part", "0", "0"]
    found = run("dump", directory, "orders-0", "--json").objects
    assert [each["is_deleted"] for each in found] == [True, False, False, False]


def test_a_segment_that_is_removed_while_it_is_dumped(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with streamlog.open(tmp_path / "d") as log:
        log.create_topic("orders", internal_segment_bytes=300)
        producer = log.producer(linger_ms=0)
        for _ in range(4):
            producer.send("orders", b"x" * 150).result()
        listed = dumping.OS_FILESYSTEM.listdir(str(tmp_path / "d/orders-0"))

        def segments(_: list[str], from_offset: int) -> list[int]:
            """Deletes the records once the segments are listed."""
            log.admin.delete_records({streamlog.TopicPartition("orders", 0): 3})
            return genuine(listed, from_offset)

        genuine = dumping._segments
        monkeypatch.setattr(dumping, "_segments", segments)
        done = run("dump", tmp_path / "d", "orders")
    assert done.code == 0
    assert done.out.count("(removed meanwhile: the log starts at 3 now)") == 3
    assert "3..3" in done.out


def test_several_segments(run: Run, tmp_path: Path) -> None:
    with streamlog.open(tmp_path / "d") as log:
        log.create_topic("t", internal_segment_bytes=200)
        with log.producer() as producer:
            for number in range(10):
                producer.send("t", b"%d" % number * 50).result()
    found = run("dump", tmp_path / "d", "t", "--json", "--from", "4", "--until", "7").objects
    assert [each["base_offset"] for each in found] == [4, 5, 6]
    assert len({each["file"] for each in found}) == 3


def test_the_metadata_log_by_name(run: Run, directory: Path) -> None:
    found = run("dump", directory, "__cluster_metadata", "--json").objects
    topics = [each["fields"] for each in found if each.get("name") == "TopicRecord"]
    with streamlog.open(directory, read_only=True) as log:
        described = log.topics()
    assert {each["name"]: each["topic_id"] for each in topics} == {
        name: topic.topic_id for name, topic in described.items()
    }
    file = directory / f"__cluster_metadata-0/{SEGMENT}.log"
    assert "ConfigRecord" in run("dump", file).out
    assert "ConfigRecord" not in run("dump", file, "--no-records").out
    assert "TopicRecord" not in run("dump", directory).out


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (f"orders-0/{SEGMENT}.timeindex", {"offset": 19, "timestamp": 1_700_000_038_000}),
        ("orders-0/leader-epoch-checkpoint", {"epoch": 0, "start_offset": 0}),
        ("recovery-point-offset-checkpoint", {"topic": "orders", "partition": 1, "offset": 20}),
        ("streamlog.properties", {"name": "format", "value": str(FORMAT)}),
    ],
)
def test_small_files(run: Run, directory: Path, name: str, row: dict[str, object]) -> None:
    done = run("dump", directory / name, "--json")
    assert done.code == 0
    rows = [{key: each[key] for key in row} for each in done.objects]
    assert row in rows
    assert len(run("dump", directory / name).lines) == 2 + len(rows)


def test_every_file_of_a_directory_can_be_dumped(run: Run, directory: Path) -> None:
    with streamlog.open(directory) as log, log.producer(enable_idempotence=True) as producer:
        producer.send("orders", b"x", partition=0)
    seen = set()
    for path in sorted(directory.rglob("*")):
        if path.is_dir() or path.name in (".lock", "streamlog.locks", "streamlog.shared"):
            continue
        done = run("dump", path)
        assert (done.code, done.err) == (0, ""), path
        seen.add(path.suffix or path.name)
    assert {".log", ".index", ".timeindex", ".snapshot", ".properties", ".metadata"} <= seen


def test_damage_is_stepped_over(run: Run, directory: Path) -> None:
    path = directory / f"orders-0/{SEGMENT}.log"
    whole = run("dump", directory, "orders-0", "--json").objects
    data = bytearray(path.read_bytes())
    second, third = whole[1], whole[2]
    data[second["position"] + 70] ^= 1  # a record: the CRC notices
    data[third["position"] + 8] ^= 0x40  # the length: no header there
    path.write_bytes(data)
    done = run("dump", directory, "orders-0", "--json")
    assert done.code == 1
    assert done.err.startswith("streamlog dump: 2 damaged places; ")
    kinds = [(each["type"], each.get("base_offset"), each.get("problem")) for each in done.objects]
    assert kinds == [
        ("batch", 0, None),
        ("batch", 5, "its CRC does not match"),
        ("damage", None, None),
        ("batch", 15, None),
    ]
    damage = done.objects[2]
    assert (damage["position"], damage["end"]) == (third["position"], whole[3]["position"])
    assert "DAMAGED: its CRC does not match" in run("dump", path).out


def test_dump_needs_no_directory_that_opens(run: Run, directory: Path) -> None:
    (directory / "meta.properties").write_bytes(b"\xff")
    (directory / f"__cluster_metadata-0/{SEGMENT}.log").write_bytes(b"\0" * 100)
    done = run("dump", directory, "--json")
    assert done.code == 1
    assert [each["type"] for each in done.objects].count("batch") == 9
    assert "100 bytes of zeros" in done.out
    assert run("dump", directory / "meta.properties").code in (0, 1)


def test_a_partition_folder_can_be_named(run: Run, directory: Path) -> None:
    assert run("dump", directory / "orders-1").lines[0].startswith("orders, partition 1")


@pytest.mark.parametrize(
    ("path", "more"),
    [("", ("order",)), ("", ("orders-9",)), ("nowhere", ()), ("streamlog.shared", ()),
     ("meta.properties", ("orders",)), ("..", ()), ("", ("--limit", "0"))],
)  # fmt: skip
def test_mistakes_are_one_line(run: Run, directory: Path, path: str, more: tuple[str, ...]) -> None:
    done = run("dump", directory / path, *more)
    usage = path == "meta.properties" or "--limit" in more
    assert (done.code, done.out, done.err.count("\n")) == (2 if usage else 1, "", 1)


def test_any_damage_is_survived_and_nothing_good_is_hidden(directory: Path) -> None:
    """Every flipped byte and every cut: the walk ends, covers the file, and finds the rest."""
    path = directory / f"orders-0/{SEGMENT}.log"
    whole = path.read_bytes()
    good = [found.position for found in walk(OS_FILESYSTEM, str(path))]
    source = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        position = source.randrange(len(data))
        data[position] ^= 1 << source.randrange(8)
        path.write_bytes(data)
        untouched = [
            start
            for start, end in zip(good, [*good[1:], len(whole)], strict=True)
            if not start <= position < end
        ]
        found = list(walk(OS_FILESYSTEM, str(path)))
        sound = {each.position for each in found if not isinstance(each, Damage)}
        if not _unprotected(good, position):
            assert set(untouched) <= sound
            assert any(isinstance(each, Damage) or each.problem for each in found)
    for cut in range(0, len(whole), 13):
        path.write_bytes(whole[:cut])
        list(walk(OS_FILESYSTEM, str(path)))
    assert os.path.getsize(path) < len(whole)


def _unprotected(starts: list[int], position: int) -> bool:
    """Base offset and leader epoch are outside of the CRC."""
    at = position - max(start for start in starts if start <= position)
    return at < 8 or 12 <= at < 16
