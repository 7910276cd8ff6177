from __future__ import annotations

from pathlib import Path

import pytest

import streamlog
from streamlog import OffsetSpec, TopicPartition
from tests.cli.conftest import Run


def test_offsets_are_where_partitions_begin_and_end(run: Run, directory: Path) -> None:
    with streamlog.open(directory) as log:
        log.admin.delete_records({TopicPartition("orders", 1): 7})
    assert [line.split() for line in run("offsets", directory).lines] == [
        ["TOPIC", "PARTITION", "EARLIEST", "LATEST"],
        ["odd", "0", "0", "3"],
        ["orders", "0", "0", "20"],
        ["orders", "1", "7", "20"],
    ]


def test_offsets_in_all_forms(run: Run, directory: Path) -> None:
    words = ["earliest", "latest", "max-timestamp", "earliest-local", "latest-tiered",
             "earliest-pending-upload", "2023-11-14T22:13:30", "@1700000039001", "-0s"]  # fmt: skip
    times = [argument for word in words for argument in ("--time", word)]
    found = run("offsets", directory, "orders", "--partition", "1", *times, "--json").objects
    assert [each["time"] for each in found] == words
    assert {(each["topic"], each["partition"]) for each in found} == {("orders", 1)}
    assert [each["offset"] for each in found] == [0, 20, 19, 0, None, None, 5, None, None]
    partition = TopicPartition("orders", 1)
    with streamlog.open(directory, read_only=True) as log:
        for each, spec in zip(found, [-2, -1, -3, -4, -5, -6], strict=False):
            listed = log.admin.list_offsets({partition: OffsetSpec(spec)})[partition]
            offset = None if listed is None else listed.offset
            assert each["offset"] == offset
    table = run("offsets", directory, "orders", "--partition", "1", *times).lines
    assert table[1].split() == ["orders", "1", "0", "20", "19", "0", "-", "-", "5", "-", "-"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("order",), 1, "did you mean 'orders'?"),
        (("orders", "--partition", "2"), 1, "topic 'orders' has no partition 2: it has 2, from 0"),
        (("orders", "--time", "last"), 2, "or one of earliest, latest, max-timestamp"),
    ],
)
def test_mistakes_of_offsets(
    run: Run, directory: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run("offsets", directory, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert said in done.err


def starts(directory: Path) -> list[int]:
    with streamlog.open(directory, read_only=True) as log:
        return [each.log_start for each in log.admin.describe_partitions("orders")]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--before", "latest"), [20, 20]),
        (("--before", "latest", "--partition", "1"), [0, 20]),
        (("--before", "6", "--partition", "0"), [6, 0]),
        (("--before", "2023-11-14T22:13:30"), [5, 5]),
        (("--before", "2030-01-01"), [20, 20]),
        (("--before", "2000-01-01"), [0, 0]),
    ],
)
def test_delete_records(
    run: Run, directory: Path, arguments: tuple[str, ...], expected: list[int]
) -> None:
    done = run("delete-records", directory, "orders", *arguments, "--json")
    assert done.code == 0
    assert starts(directory) == expected
    chosen = [int(arguments[3])] if "--partition" in arguments else [0, 1]
    assert [each["partition"] for each in done.objects] == chosen
    assert all(each["log_start"] == expected[each["partition"]] for each in done.objects)
    again = run("delete-records", directory, "orders", *arguments).lines
    assert again[0].split() == ["TOPIC", "PARTITION", "START", "DELETED"]
    assert [line.split()[3] for line in again[1:]] == ["0"] * len(chosen)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("order", "--before", "latest"), 1, "did you mean 'orders'?"),
        (("orders",), 2, "--before"),
        (("orders", "--before", "6"), 2, "--partition"),
        (("orders", "--before", "21", "--partition", "0"), 1, "21"),
        (("orders", "--before", "earliest"), 2, "or an offset, or latest"),
        (("orders", "--before", "latest", "--partition", "2"), 1, "no partition 2"),
    ],
)
def test_mistakes_delete_nothing(
    run: Run, directory: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run("delete-records", directory, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert said in done.err
    assert starts(directory) == [0, 0]


def test_apply_retention(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "d"
    with streamlog.open(path) as log:
        for name in ("kept", "short", "small"):
            log.create_topic(name, internal_segment_bytes=300)
        for name in ("kept", "short", "small"):
            for _ in range(3):
                log.producer(linger_ms=0).send(name, b"x" * 150, timestamp_ms=1000).result()
    assert run("apply-retention", path).lines == ["nothing is due"]
    run("configs", "alter", path, "short", "--config", "retention.ms=1000")
    run("configs", "alter", path, "small", "--config", "retention.bytes=300")
    assert run("apply-retention", path, "kept", "--json").out == ""
    assert run("apply-retention", path, "small", "--json").objects == [
        {"topic": "small", "partition": 0, "log_start": 1}
    ]
    assert [line.split() for line in run("apply-retention", path).lines] == [
        ["TOPIC", "PARTITION", "START"],
        ["short", "0", "3"],
    ]
    done = run("apply-retention", path, "shrt")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "did you mean 'short'?" in done.err
