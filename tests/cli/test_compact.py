from __future__ import annotations

from pathlib import Path

import pytest

import streamlog
from tests.cli.conftest import Run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """`latest` and `other` are compacted, `kept` is not; each has 30 records of 3 keys."""
    with streamlog.open(tmp_path / "d", housekeeping=False) as log:
        log.create_topic("latest", cleanup_policy="compact")
        log.create_topic("other", partitions=2, cleanup_policy="compact,delete")
        log.create_topic("kept")
        with log.producer() as producer:
            for topic in log.topics():
                for number in range(30):
                    producer.send(topic, b"%d" % number, key=b"%d" % (number % 3), partition=0)
    return tmp_path / "d"


def values(path: Path, topic: str) -> list[bytes | None]:
    with streamlog.open(path, read_only=True) as log:
        return [record.value for record in log.read(topic)]


def test_a_topic(run: Run, path: Path) -> None:
    done = run("compact", path, "latest")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].split()[:4] == ["TOPIC", "PARTITION", "BEFORE", "AFTER"]
    assert done.lines[1].split()[:4] == ["latest", "0", "30", "3"]
    assert done.lines[1].split()[-1] == "30"
    assert values(path, "latest") == [b"27", b"28", b"29"]
    assert len(values(path, "other")) == 30


def test_all_that_are_compacted(run: Run, path: Path) -> None:
    found = run("compact", path, "--json").objects
    assert [(each["topic"], each["partition"]) for each in found] == [
        ("latest", 0),
        ("other", 0),  # nothing was ever written to its other partition
    ]
    assert [each["records_after"] for each in found] == [3, 3]
    assert found[0]["bytes_after"] < found[0]["bytes_before"]
    assert len(values(path, "kept")) == 30


@pytest.mark.parametrize(
    ("topic", "said"), [("kept", "cleanup_policy"), ("latst", "did you mean 'latest'?")]
)
def test_what_cannot_be_compacted(run: Run, path: Path, topic: str, said: str) -> None:
    done = run("compact", path, topic)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert said in done.err
    assert len(values(path, "latest")) == len(values(path, "kept")) == 30


def test_no_topic_is_compacted(run: Run, directory: Path) -> None:
    assert run("compact", directory).lines == ["no topic is compacted (cleanup.policy)"]
    assert run("compact", directory, "--json").out == ""
    assert run("topics", "create", directory, "new", "--config", "cleanup.policy=compact").code == 0
    assert run("compact", directory).lines == ["there is nothing to compact"]
