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


def test_alter(run: Run, directory: Path) -> None:
    both = (
        "--partitions",
        "4",
        "--config",
        "retention.ms=5000",
        "--delete-config",
        "flush_messages",
    )
    done = run("topics", "alter", directory, "orders", "odd", *both)
    assert (done.code, done.lines) == (
        0,
        [
            "altered orders: 4 partitions, retention.ms=5000",
            "altered odd: 4 partitions, retention.ms=5000",
        ],
    )
    (topic,) = run(
        "topics", "alter", directory, "odd", "--delete-config", "retention.ms", "--json"
    ).objects
    assert (topic["name"], topic["partitions"], topic["settings"]) == ("odd", 4, {})
    grown = run("topics", "alter", directory, "odd", "--partitions", "5")
    assert grown.lines == ["altered odd: 5 partitions"]


def test_internal_topics_are_listed_when_asked_for(run: Run, directory: Path) -> None:
    def names(*arguments: str) -> list[str]:
        return [each["name"] for each in run("topics", "list", directory, *arguments).objects]

    assert names("--json") == ["odd", "orders"]
    internal = names("--json", "--internal")
    assert set(internal) >= {"odd", "orders"}
    assert internal == sorted(internal)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "DIRECTORY", "orders"), 1, "exists already"),
        (("create", "DIRECTORY", "new", "orders"), 1, "exists already"),
        (("create", "DIRECTORY", "a/../b"), 2, "a/../b"),
        (("create", "DIRECTORY", "t", "--partitions", "0"), 2, "1 or more"),
        (("create", "DIRECTORY", "t", "--config", "segmentbytes=1"), 2, "segment"),
        (("create", "DIRECTORY", "t", "--config", "nonsense"), 2, "name=value"),
        (
            ("create", "DIRECTORY", "t", "--config", "flush.ms=1", "--config", "flush.ms=2"),
            2,
            "given twice",
        ),
        (("delete", "DIRECTORY", "order"), 1, "'orders'"),
        (("delete", "DIRECTORY", "orders", "nope"), 1, "nope"),
        (("delete", "NOWHERE", "orders"), 1, "does not exist"),
        (("describe", "DIRECTORY", "order"), 1, "'orders'"),
        (("alter", "DIRECTORY", "order", "--partitions", "3"), 1, "'orders'"),
        (("alter", "DIRECTORY", "orders"), 2, "nothing to alter"),
        (("alter", "DIRECTORY", "orders", "--partitions", "1"), 2, "can only grow"),
        (("alter", "DIRECTORY", "orders", "odd", "--partitions", "2"), 2, "can only grow"),
        (
            ("alter", "DIRECTORY", "orders", "--partitions", "1", "--config", "flush.ms=1"),
            2,
            "can only grow",
        ),
        (
            ("alter", "DIRECTORY", "odd", "--partitions", "2", "--config", "flushms=1"),
            2,
            "did you mean flush_ms?",
        ),
        (
            ("alter", "DIRECTORY", "odd", "--config", "flush.ms=1", "--delete-config", "flush.ms"),
            2,
            "given twice",
        ),
        (("list", "NOWHERE"), 1, "does not exist"),
        (("list",), 2, "DIRECTORY"),
        ((), 2, "one of list, create, describe, alter, delete is expected"),
        (("lst",), 2, "did you mean 'list'?"),
    ],
)
def test_mistakes_are_one_line(
    run: Run, directory: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    places = {"DIRECTORY": str(directory), "NOWHERE": str(directory / "nowhere")}
    done = run("topics", *(places.get(word, word) for word in arguments))
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert said in done.err
    assert [line.split()[:2] for line in run("topics", "list", directory).lines] == [
        ["TOPIC", "PARTITIONS"],
        ["odd", "1"],
        ["orders", "2"],
    ]
    assert "flush.ms" not in run("topics", "list", directory).out
