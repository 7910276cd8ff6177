from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import streamlog
from streamlog import TopicPartition
from tests.cli.conftest import Run

ORDERS_0, ORDERS_1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


@pytest.fixture
def groups(directory: Path) -> Path:
    """A directory where "billing" has committed for both partitions of "orders"."""
    with streamlog.open(directory) as log:
        consumer = log.consumer(group_id="billing")
        consumer.commit({ORDERS_0: 5, ORDERS_1: 20})
        consumer.close()
    return directory


def test_list(run: Run, groups: Path, tmp_path: Path) -> None:
    assert run("groups", "list", groups).lines == [
        "GROUP    TYPE     STATE",
        "billing  classic  Empty",
    ]
    (found,) = run("groups", "list", groups, "--json").objects
    assert found == {
        "group_id": "billing",
        "type": "classic",
        "protocol_type": "",
        "state": "Empty",
    }
    assert run("groups", "list", groups, "--state", "Stable").lines == ["no groups"]
    done = run("groups", "list", groups, "--state", "foo")
    assert (done.code, done.out) == (2, "")
    assert "'foo': it is one of" in done.err
    with streamlog.open(tmp_path / "empty"):
        pass
    assert run("groups", "list", tmp_path / "empty").lines == ["no groups"]


def test_describe(run: Run, groups: Path) -> None:
    heading, columns, *rows = run("groups", "describe", groups).lines
    assert heading == "billing  (classic, Empty, 0 members)"
    assert columns.split() == ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST"]
    assert [row.split() for row in rows] == [
        ["orders", "0", "5", "20", "15", "-", "-"],
        ["orders", "1", "20", "20", "0", "-", "-"],
    ]
    (found,) = run("groups", "describe", groups, "billing", "--json").objects
    assert [each["lag"] for each in found["offsets"]] == [15, 0]
    done = run("groups", "describe", groups, "nobody")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err == "streamlog groups describe: Group nobody not found.\n"


def test_members_are_described(run: Run, groups: Path) -> None:
    with streamlog.open(groups) as log:
        consumers = [log.consumer("orders", group_id="live") for _ in range(3)]
        for consumer in consumers * 2:
            consumer.poll(0)
        heading, *table, idle = run("groups", "describe", groups, "live").lines
        assert consumers[0].group is not None
        member_id = consumers[0].group._member_id
    assert heading == "live  (consumer, Stable, uniform, 3 members)"
    assert [row.split()[:2] for row in table[1:]] == [["orders", "0"], ["orders", "1"]]
    assert sum(member_id in row for row in [*table, idle]) == 1
    assert idle.endswith(" has nothing")


def test_members_whose_process_is_gone_are_left_out(run: Run, groups: Path) -> None:
    script = f"""
import os, streamlog
log = streamlog.open({str(groups)!r})
log.consumer("orders", group_id="live").poll(0)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    heading, *rows = run("groups", "describe", groups, "live").lines
    assert heading == "live  (consumer, Empty, uniform, 0 members)"
    assert rows == []
    arguments = ("live", "--to", "earliest", "--topic", "orders", "--dry-run")
    assert run("groups", "reset-offsets", groups, *arguments).code == 0


def test_reset_offsets(run: Run, groups: Path, tmp_path: Path) -> None:
    def rows(*arguments: object) -> list[list[str]]:
        done = run("groups", "reset-offsets", groups, "billing", *arguments)
        assert (done.code, done.err) == (0, "")
        assert done.lines[0].split() == ["TOPIC", "PARTITION", "BEFORE", "AFTER"]
        return [line.split() for line in done.lines[1:]]

    assert rows("--to", "earliest", "--dry-run") == [
        ["orders", "0", "5", "0"],
        ["orders", "1", "20", "0"],
    ]
    assert rows("--shift-by", "-2", "--topic", "orders", "--partition", "0") == [
        ["orders", "0", "5", "3"]
    ]
    assert rows("--to", "7") == [["orders", "0", "3", "7"], ["orders", "1", "20", "7"]]
    assert rows("--to", "2023-11-14T22:13:30", "--topic", "odd") == [["odd", "0", "-", "3"]]
    file = tmp_path / "offsets.csv"
    file.write_text('"orders",0,11\n\norders,1,12\n')
    assert rows("--from-file", file) == [["orders", "0", "7", "11"], ["orders", "1", "7", "12"]]
    dry_run = ("reset-offsets", groups, "billing", "--from-file", "-", "--dry-run", "--json")
    assert run("groups", *dry_run, stdin=b"\xef\xbb\xbforders,0,1\r\n").objects == [
        {"topic": "orders", "partition": 0, "before": 11, "after": 1}
    ]
    arguments = ("reset-offsets", groups, "billing", "--to", "latest", "--topic", "orders")
    assert run("groups", *arguments, "--json").objects == [
        {"topic": "orders", "partition": 0, "before": 11, "after": 20},
        {"topic": "orders", "partition": 1, "before": 12, "after": 20},
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--to"),
        (("--to", "earliest", "--shift-by", "1"), 2, "not allowed with"),
        (("--to", "earliest", "--partition", "0"), 2, "--topic"),
        (
            ("--from-file", "offsets.csv"),
            2,
            "offsets.csv, line 2: not topic,partition,offset in UTF-8: 'orders;0'",
        ),
        (("--from-file", "latin.csv"), 2, r"latin.csv, line 1: not topic,partition,offset"),
        (("--from-file", "twice.csv"), 2, "twice.csv, line 3: orders-0 for the second time"),
        (("--from-file", "empty.csv"), 2, "empty.csv: a line with topic,partition,offset"),
        (("--from-file", "-"), 2, "-: a line with topic,partition,offset"),
        (("--from-file", "nowhere.csv"), 1, "nowhere.csv"),
        (("--from-file", "offsets.csv", "--topic", "orders"), 2, "no --topic and no --partition"),
        (("--to", "latest", "--topic", "order"), 1, "did you mean 'orders'?"),
    ],
)
def test_mistakes_of_reset_offsets(
    run: Run,
    groups: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("offsets.csv").write_text("orders,0,1\norders;0\n")
    Path("latin.csv").write_bytes(b"t\xf6pfe,0,1\n")
    Path("twice.csv").write_text("orders,0,1\n\norders,0,2\n")
    Path("empty.csv").write_text("\n")
    done = run("groups", "reset-offsets", groups, "billing", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_delete(run: Run, groups: Path) -> None:
    assert run("groups", "delete", groups, "nobody").code == 1
    with streamlog.open(groups) as log, log.consumer("odd", group_id="billing"):
        done = run("groups", "delete", groups, "billing")
        assert (done.code, done.out) == (1, "")
        assert "has members" in done.err
    assert run("groups", "delete", groups, "billing", "--json").objects == [{"deleted": "billing"}]
    assert run("groups", "list", groups).lines == ["no groups"]
