from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_topics_from_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new"
    config = ("--config", "segment.bytes=1048576", "--config", "compression_type=zstd")
    created = run("topics", "create", path, "a", "b.c", "--partitions", "3", *config)
    assert (created.code, created.lines) == (
        0,
        ["created a with 3 partitions", "created b.c with 3 partitions"],
    )
    assert run("topics", "list", path).lines == [
        "TOPIC  PARTITIONS  SETTINGS",
        "a               3  compression.type=zstd segment.bytes=1048576",
        "b.c             3  compression.type=zstd segment.bytes=1048576",
    ]
    assert [each["name"] for each in run("topics", "list", path, "--json").objects] == ["a", "b.c"]
    assert run("topics", "delete", path, "a").lines == ["deleted a"]
    assert run("topics", "list", path).lines[1:] == [
        "b.c             3  compression.type=zstd segment.bytes=1048576"
    ]
    assert run("topics", "delete", path, "b.c", "--json").objects == [{"deleted": "b.c"}]
    assert run("topics", "list", path).lines == ["no topics"]
    assert run("topics", "list", path, "--json").out == ""


def test_describe(run: Run, directory: Path) -> None:
    done = run("topics", "describe", directory, "orders")
    heading, setting, columns, *rows = done.lines
    assert heading.startswith("orders  (id ")
    assert setting == "  flush.messages=1000"
    assert columns.split() == ["PARTITION", "START", "END", "RECORDS", "SIZE", "EPOCH", "STATE"]
    assert [row.split()[:4] for row in rows] == [["0", "0", "20", "20"], ["1", "0", "20", "20"]]
    assert rows[0].endswith("ok")
    (topic,) = run("topics", "describe", directory, "orders", "--json").objects
    size = (directory / "orders-1" / "00000000000000000000.log").stat().st_size
    assert topic["partitions"][1] == {
        "partition": 1,
        "leader_epoch": 0,
        "log_start": 0,
        "log_end": 20,
        "high_watermark": 20,
        "size": size,
        "poisoned": None,
    }
    everything = run("topics", "describe", directory, "--json").objects
    assert [topic["name"] for topic in everything] == ["odd", "orders"]


def test_describe_says_which_settings_are_idle(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new"
    config = ("min.insync.replicas=2", "cleanup.policy=compact, delete", "flush_ms=5")
    given = [word for each in config for word in ("--config", each)]
    assert run("topics", "create", path, "a", *given).code == 0
    assert run("topics", "describe", path, "a").lines[1:4] == [
        "  cleanup.policy=compact,delete",
        "  flush.ms=5",
        "  min.insync.replicas=2  (no effect here: a directory is its partitions' only replica)",
    ]
    (topic,) = run("topics", "describe", path, "a", "--json").objects
    assert topic["settings"]["min.insync.replicas"] == "2"
    assert topic["idle"] == {"min.insync.replicas": "a directory is its partitions' only replica"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "DIRECTORY", "orders"), "exists already"),
        (("create", "DIRECTORY", "a/../b"), "a/../b"),
        (("create", "DIRECTORY", "t", "--partitions", "0"), "1 or more"),
        (("create", "DIRECTORY", "t", "--config", "segmentbytes=1"), "segment"),
        (("create", "DIRECTORY", "t", "--config", "nonsense"), "name=value"),
        (
            ("create", "DIRECTORY", "t", "--config", "flush.ms=1", "--config", "flush.ms=2"),
            "given twice",
        ),
        (("delete", "DIRECTORY", "order"), "'orders'"),
        (("delete", "DIRECTORY", "orders", "nope"), "nope"),
        (("delete", "NOWHERE", "orders"), "No such file or directory"),
        (("describe", "DIRECTORY", "order"), "'orders'"),
        (("list", "NOWHERE"), "does not exist"),
        (("list",), "DIRECTORY"),
        ((), "VERB"),
        (("remove",), "invalid choice"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, directory: Path, arguments: tuple[str, ...], said: str
) -> None:
    places = {"DIRECTORY": str(directory), "NOWHERE": str(directory / "nowhere")}
    done = run("topics", *(places.get(word, word) for word in arguments))
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
    assert [line.split()[0] for line in run("topics", "list", directory).lines] == [
        "TOPIC", "odd", "orders",
    ]  # fmt: skip
