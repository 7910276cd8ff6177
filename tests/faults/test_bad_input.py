"""What users get wrong: each call of the table raises its error, and nothing has changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import streamlog
from streamlog import errors
from streamlog.types import TopicPartition

FLIGHTS = TopicPartition("flights", 0)


class Case(NamedTuple):
    call: Callable[[streamlog.StreamLog, streamlog.Producer], object]
    error: type[Exception]
    says: str


class Unprintable:
    def __repr__(self) -> str:
        return "<something odd>"


ODD = Unprintable()
HUGE = b"x" * 2000

WRITING = [
    Case(lambda _, p: p.send(1, b""), TypeError, "topic must be str"),
    Case(lambda _, p: p.send("flights", "text"), TypeError, "bytes-like"),
    Case(lambda _, p: p.send("flights", ODD), TypeError, "bytes-like"),
    Case(lambda _, p: p.send("flights", b"", key="text"), TypeError, "key must be"),
    Case(lambda _, p: p.send("flights", b"", headers=5), TypeError, "headers"),
    Case(lambda _, p: p.send("flights", b"", headers={"a": 5}), TypeError, "headers"),
    Case(lambda _, p: p.send("flights", b"", headers=[("a",)]), (TypeError), "headers"),
    Case(lambda _, p: p.send("flights", b"", partition="0"), TypeError, "partition"),
    Case(lambda _, p: p.send("flights", b"", partition=9), errors.UnknownTopicError, "9"),
    Case(lambda _, p: p.send("flights", b"", partition=-1), errors.UnknownTopicError, "-1"),
    Case(lambda _, p: p.send("flights", b"", timestamp_ms="x"), TypeError, "timestamp_ms"),
    Case(lambda _, p: p.send("flights", b"", timestamp_ms=-5), errors.InvalidTimestampError, "-5"),
    Case(
        lambda _, p: p.send("flights", b"", timestamp_ms=1 << 62),
        errors.InvalidTimestampError,
        "message_timestamp_after_max_ms",
    ),
    Case(
        lambda _, p: p.send("flights", b"", timestamp_ms=1 << 70),
        errors.InvalidTimestampError,
        "64 bits",
    ),
    Case(lambda _, p: p.send("flights", HUGE), errors.RecordTooLargeError, "max_message_bytes"),
    Case(lambda _, p: p.send("flight", b""), errors.UnknownTopicError, "did you mean 'flights'"),
    Case(lambda _, p: p.send("../x", b""), errors.UnknownTopicError, "../x"),
    Case(lambda _, p: p.send("__cluster_metadata", b""), errors.UnknownTopicError, "metadata"),
    Case(lambda _, p: p.send_many("flights", b"abc"), TypeError, "iterable of them"),
    Case(lambda _, p: p.send_many("flights", 7), TypeError, "iterable"),
    Case(lambda _, p: p.send_many("flights", [b"a", 5]), TypeError, r"values\[1\]"),
    Case(lambda _, p: p.send_many("flights", [b"a"], keys=[b"", b""]), ValueError, "2 keys"),
    Case(lambda _, p: p.send_many("flights", [b"a", HUGE]), errors.RecordTooLargeError, "1000"),
    Case(lambda _, p: p.send_many("flights", [b"a"], partition=5), errors.UnknownTopicError, "5"),
    Case(
        lambda _, p: p.send_many("flights", [b"a"], timestamps_ms=[-2]),
        errors.InvalidTimestampError,
        "-2",
    ),
]

TOPICS = [
    *(
        Case(lambda log, _, name=name: log.create_topic(name), errors.InvalidTopicError, "name")
        for name in (
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "/etc",
            "a\0b",
            "a b",
            "ü",
            "x" * 250,
            5,
            None,
            b"x",
        )
    ),
    Case(lambda log, _: log.create_topic("flights"), errors.TopicExistsError, "flights"),
    Case(lambda log, _: log.create_topic("flight.s_x"), errors.TopicExistsError, "flight_s.x"),
    *(
        Case(lambda log, _, n=n: log.create_topic("new", n), errors.ConfigError, "partitions")
        for n in (0, -1, "3", 1.5, None, True, 1 << 40)
    ),
    Case(
        lambda log, _: log.create_topic("new", retention=5),
        errors.UnknownSettingError,
        "retention_ms",
    ),
    Case(lambda log, _: log.create_topic("new", segment_bytes=5), errors.ConfigError, "1048576"),
    Case(lambda log, _: log.create_topic("new", segment_bytes=ODD), errors.ConfigError, "odd"),
    Case(lambda log, _: log.delete_topic("nope"), errors.UnknownTopicError, "nope"),
    Case(lambda log, _: log.delete_topic("../.."), errors.UnknownTopicError, "../.."),
    Case(lambda log, _: log.delete_topic("__cluster_metadata"), errors.UnknownTopicError, "meta"),
    Case(lambda log, _: log.create_partitions("flights", 1), errors.ConfigError, "grow"),
    Case(lambda log, _: log.create_partitions("nope", 3), errors.UnknownTopicError, "nope"),
    Case(lambda log, _: log.admin.recover_partition("no", 0), errors.UnknownTopicError, "no"),
    Case(lambda log, _: log.alter_topic("nope", flush_ms=5), errors.UnknownTopicError, "nope"),
    Case(lambda log, _: log.alter_topic("flights", flush=5), errors.UnknownSettingError, "flush"),
    Case(lambda log, _: log.alter_topic("flights", flush_ms=ODD), errors.ConfigError, "odd"),
    Case(lambda log, _: log.alter_topic("flights", flush_ms=-1), errors.ConfigError, "from 0"),
    *(
        Case(lambda log, _, w=w: log.admin.alter_configs(w), errors.ConfigError, said)
        for w, said in (
            (["flights"], "mapping"),
            ({"flights": 5}, "mapping"),
            ({"flights": {5: 5}}, "5"),
            ({"flights": {"flush_ms": streamlog.AlterConfigOp("up", 5)}}, "append"),
            ({"flights": {"flush_ms": streamlog.AlterConfigOp("append", 5)}}, "no list"),
            ({"flights": {"cleanup_policy": streamlog.AlterConfigOp("append", 5)}}, "compact"),
        )
    ),
    Case(lambda log, _: log.admin.create_partitions([1]), errors.ConfigError, "mapping"),
    Case(
        lambda log, _: log.admin.create_topics([streamlog.NewTopic("new", 1, 5)]),
        errors.ConfigError,
        "mapping",
    ),
    Case(lambda log, _: log.admin.delete_topics([["flights"]]), errors.ConfigError, "str"),
    Case(lambda log, _: log.admin.describe_configs([5]), errors.ConfigError, "str"),
    Case(lambda log, _: log.admin.list_offsets({("flights", 0): -9}), errors.ConfigError, "LATEST"),
    Case(lambda log, _: log.admin.describe_producers([5]), errors.ConfigError, "TopicPartition"),
]

READING = [
    Case(lambda log, _: log.read("nope"), errors.UnknownTopicError, "nope"),
    Case(lambda log, _: log.read(5), errors.StreamlogError, "5"),
    Case(lambda log, _: log.read("flights", partition=7), errors.UnknownTopicError, "7"),
    Case(lambda log, _: log.read("flights", start=99), errors.LogTruncatedError, "99"),
    Case(lambda log, _: log.read("flights", start=-1), errors.ConfigError, "-1"),
    Case(lambda log, _: log.read("flights", start="x"), errors.ConfigError, "'x'"),
    Case(
        lambda log, _: log.read("flights", start=1, start_time_ms=5), errors.ConfigError, "either"
    ),
    Case(lambda log, _: log.consumer("nope"), errors.UnknownTopicError, "nope"),
    Case(lambda log, _: log.consumer(5), errors.ConfigError, "5"),
    Case(
        lambda log, _: log.consumer("flights", group_id="g", session_timeout_ms=6000),
        errors.UnsupportedFeatureError,
        "session_timeout_ms",
    ),
    Case(lambda log, _: log.consumer("flights", nope=1), errors.UnknownSettingError, "nope"),
    Case(lambda log, _: log.consumer().poll(0), errors.UsageError, "subscribe"),
    Case(lambda log, _: log.consumer("flights").commit(), errors.UsageError, "group"),
    Case(lambda log, _: log.consumer("flights").poll("x"), errors.ConfigError, "timeout_ms"),
    Case(lambda log, _: log.consumer("flights").poll(0, 0), errors.ConfigError, "max_records"),
    Case(lambda log, _: log.consumer("flights").seek(FLIGHTS, -5), errors.ConfigError, "-5"),
    Case(
        lambda log, _: log.consumer("flights").seek(TopicPartition("flights", 9), 0),
        errors.UsageError,
        "not assigned",
    ),
    Case(lambda log, _: log.consumer(auto_offset_reset="now"), errors.ConfigError, "earliest"),
    Case(lambda log, _: log.producer(acks=5), errors.ConfigError, '"all"'),
    Case(lambda log, _: log.producer(lingerms=5), errors.UnknownSettingError, "linger_ms"),
    Case(
        lambda log, _: log.producer(transactional_id="x"), errors.UnsupportedFeatureError, "trans"
    ),
    Case(lambda log, _: log.producer(acks=1, enable_idempotence=True), errors.ConfigError, "acks"),
]


@pytest.fixture
def log() -> Iterator[streamlog.StreamLog]:
    with streamlog.open(":memory:") as opened:
        opened.create_topic("flights", partitions=2, max_message_bytes=1000)
        opened.create_topic("flight_s.x")
        yield opened


def contents(log: streamlog.StreamLog) -> object:
    """Everything there is: topics with their settings, records, files and folders."""
    tree = sorted(
        os.path.relpath(os.path.join(root, name), log.path)
        for root, folders, files in os.walk(log.path)
        for name in [*folders, *files]
    )
    records = {name: [bytes(record.value) for record in log.read(name)] for name in log.topics()}
    return log.topics(), records, tree


@pytest.mark.parametrize("case", [*WRITING, *TOPICS, *READING])
def test_a_bad_call_raises_its_error_and_changes_nothing(
    log: streamlog.StreamLog, case: Case
) -> None:
    with log.producer(acks=1) as producer:
        producer.send("flights", b"before", partition=0).result()
        before = contents(log)
        with pytest.raises(case.error, match=case.says) as caught:
            case.call(log, producer)
        if isinstance(caught.value, errors.SendError):
            assert caught.value.outcome == "not_written"
        producer.flush()
        assert contents(log) == before
        assert producer.send("flights", b"after", partition=0).result().offset == 1


def test_every_handle_says_that_it_is_closed(directory: str) -> None:
    log = streamlog.open(directory)
    log.create_topic("flights")
    producer, consumer, admin = log.producer(), log.consumer("flights"), log.admin
    reading = log.read("flights")
    log.close()
    log.close()
    calls: list[Callable[[], object]] = [
        log.topics,
        log.sync,
        log.verify,
        log.producer,
        lambda: log.create_topic("x"),
        lambda: log.delete_topic("flights"),
        lambda: log.consumer("flights"),
        lambda: log.read("flights"),
        log.__enter__,
        admin.list_topics,
        admin.describe,
        lambda: producer.send("flights", b""),
        lambda: producer.send_many("flights", [b""]),
        producer.flush,
        lambda: producer.partitions_for("flights"),
        lambda: consumer.poll(0),
        consumer.lag,
        lambda: iter(consumer),
        lambda: consumer.position(FLIGHTS),
        lambda: consumer.subscribe(["flights"]),
    ]
    for call in calls:
        with pytest.raises(errors.ClosedError):
            call()
    producer.close()
    consumer.close()
    assert list(reading) == []


def append_and_read(directory: str) -> list[bytes]:
    with streamlog.open(directory) as log:
        with log.producer() as producer:
            producer.send("flights", b"y").result()
        return [record.value for record in log.read("flights")]


class TestDirectories:
    @pytest.mark.parametrize("path", ["", "a\0b", b"bytes"])
    def test_what_is_no_path(self, path: str) -> None:
        with pytest.raises(errors.ConfigError):
            streamlog.open(path)

    def test_a_directory_of_something_else_is_left_as_it_was(self, tmp_path: Path) -> None:
        (tmp_path / "letters.txt").write_text("dear all")
        with pytest.raises(errors.NotALogDirectoryError, match=r"letters\.txt"):
            streamlog.open(tmp_path)
        assert os.listdir(tmp_path) == ["letters.txt"]

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(errors.NotALogDirectoryError):
            streamlog.open(tmp_path / "file")

    def test_a_directory_that_cannot_be_made(self) -> None:
        with pytest.raises(errors.StorageError):
            streamlog.open("/proc/streamlog")

    @pytest.mark.parametrize("settings", [{"create": False}, {"read_only": True}])
    def test_nothing_where_something_is_expected(
        self, directory: str, settings: dict[str, bool]
    ) -> None:
        with pytest.raises(errors.NotALogDirectoryError):
            streamlog.open(directory, **settings)
        assert not os.path.exists(directory)

    def test_partitions_without_an_identity_are_not_taken_over(self, directory: str) -> None:
        with streamlog.open(directory) as log:
            log.create_topic("flights")
            with log.producer() as producer:
                producer.send("flights", b"x").result()
        os.unlink(f"{directory}/meta.properties")
        with pytest.raises(errors.CorruptDirectoryError, match=r"meta\.properties"):
            streamlog.open(directory)

    def test_a_newer_format_is_refused_unless_it_is_only_read(self, directory: str) -> None:
        with streamlog.open(directory) as log:
            log.create_topic("flights")
            with log.producer() as producer:
                producer.send("flights", b"x").result()
        Path(directory, "streamlog.properties").write_text("format=99\n")
        with pytest.raises(errors.UnsupportedFormatError) as caught:
            streamlog.open(directory)
        assert caught.value.found == 99
        with streamlog.open(directory, read_only=True) as log:
            assert [record.value for record in log.read("flights")] == [b"x"]

    def test_a_log_that_is_only_read_refuses_every_change(self, directory: str) -> None:
        streamlog.open(directory).close()
        with streamlog.open(directory, read_only=True) as log:
            calls: list[Callable[[], object]] = [
                lambda: log.create_topic("x"),
                lambda: log.delete_topic("x"),
                lambda: log.create_partitions("x", 2),
                log.producer,
                log.sync,
                lambda: log.admin.recover_partition("x", 0),
            ]
            for call in calls:
                with pytest.raises(errors.ReadOnlyError):
                    call()

    def test_a_symbolic_link_in_place_of_a_segment_is_not_followed(
        self, directory: str, tmp_path: Path
    ) -> None:
        with streamlog.open(directory) as log:
            log.create_topic("flights")
            with log.producer() as producer:
                producer.send("flights", b"x").result()
        segment = Path(directory, "flights-0", f"{0:020d}.log")
        target = tmp_path / "elsewhere"
        segment.rename(target)
        segment.symlink_to(target)
        before = target.read_bytes()
        with pytest.raises(errors.StorageError):
            append_and_read(directory)
        assert target.read_bytes() == before
