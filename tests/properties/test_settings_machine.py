"""Settings against a dictionary: whatever is changed, by whom, every append obeys what is set.

Two engines on one directory are two processes. The model knows Kafka's rules for the settings it
draws: which batch is refused, which codec and timestamp it gets, where segments begin.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamlog.broker.engine import Engine
from streamlog.clients.producer import Producer
from streamlog.config import AlterConfigOp, ProducerConfig
from streamlog.errors import ConfigError, InvalidRecordError, RecordTooLargeError
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem
from streamlog.storage.verification import verify_directory
from streamlog.testing.clock import ManualClock

BASE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
DEFAULTS = {
    "max.message.bytes": "1048588",
    "internal.segment.bytes": "1073741824",
    "compression.type": "producer",
    "message.timestamp.type": "CreateTime",
    "cleanup.policy": "delete",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": str(2**63 - 1),
}
VALUES: dict[str, list[str]] = {
    "max.message.bytes": ["100", "300", "1000", "1048588"],
    "internal.segment.bytes": ["200", "500", "3000"],
    "compression.type": ["producer", *CODECS],
    "message.timestamp.type": ["CreateTime", "LogAppendTime"],
    "cleanup.policy": ["delete", "compact", "compact,delete", ""],
    "index.interval.bytes": ["0", "100"],
    "min.insync.replicas": ["2"],
    "min.compaction.lag.ms": ["0", "5", "10"],
    "max.compaction.lag.ms": ["5", "10", "1000000"],
}
changes = st.lists(
    st.sampled_from([(name, value) for name, all_ in VALUES.items() for value in [*all_, None]]),
    min_size=1,
    max_size=4,
).map(dict)
processes = st.integers(0, 1)
values = st.integers(0, 700).map(lambda size: (bytes(range(256)) * 3)[:size])


class Process:
    """An engine of its own, with a producer that never saw a topic's settings change."""

    def __init__(self, path: str) -> None:
        self.engine = Engine.open(path, filesystem=Filesystem(), settings={"housekeeping": False})
        config = ProducerConfig.from_settings({"acks": 1, "linger_ms": 0})
        self.producer = Producer(self.engine, config, clock=ManualClock())


class SettingsMachine(RuleBasedStateMachine):
    """One topic of one partition, two processes, and what it should be set to and hold."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="streamlog-settings-", dir=BASE))
        self.generation = 0
        self.set: dict[str, str] = {}
        self.records: list[tuple[bytes | None, bytes, int, bool]] = []
        self.segments = [0]
        self.filled = 0  # bytes of the last segment
        self.processes: list[Process] = []
        self.open()
        self.processes[0].engine.create_topic("a")

    @property
    def path(self) -> str:
        return str(self.root / str(self.generation))

    def open(self) -> None:
        self.processes = [Process(self.path) for _ in range(2)]

    def close(self) -> None:
        for process in self.processes:
            process.producer.close()
            process.engine.close()

    def value(self, name: str) -> str:
        return self.set.get(name, DEFAULTS[name])

    # ---------------------------------------------------------------- changing

    @rule(process=processes, wanted=changes, validate_only=st.booleans())
    def alter(self, process: int, wanted: dict[str, str | None], validate_only: bool) -> None:
        after = {**self.set, **wanted}
        after = {name: text for name, text in after.items() if text is not None}
        lags = [
            int({**DEFAULTS, **after}[f"{bound}.compaction.lag.ms"]) for bound in ("min", "max")
        ]
        engine = self.processes[process].engine
        if lags[0] > lags[1]:
            with pytest.raises(ConfigError, match="topic 'a': min_compaction_lag_ms"):
                engine.alter_topics({"a": wanted}, validate_only=validate_only)
            return
        (told,) = engine.alter_topics({"a": wanted}, validate_only=validate_only)
        assert told.settings == after
        if not validate_only:
            self.set = after

    @rule(
        process=processes,
        operation=st.sampled_from(["append", "subtract"]),
        item=st.sampled_from(["delete", "compact"]),
    )
    def change_list(self, process: int, operation: Any, item: str) -> None:
        items = [each for each in self.value("cleanup.policy").split(",") if each and each != item]
        if operation == "append":
            present = item in self.value("cleanup.policy").split(",")
            items = self.value("cleanup.policy").split(",") if present else [*items, item]
        wanted = {"a": {"cleanup_policy": AlterConfigOp(operation, item)}}
        self.processes[process].engine.alter_topics(wanted)
        self.set["cleanup.policy"] = ",".join(items)

    # ---------------------------------------------------------------- appending

    @rule(process=processes, key=st.none() | st.binary(max_size=4), value=values)
    def append(self, process: int, key: bytes | None, value: bytes) -> None:
        codec = CODECS.get(self.value("compression.type"), 0)
        builder = RecordBatchBuilder(codec=codec)
        builder.append(ManualClock().now_ms(), key, value, ())
        size = len(builder.build())
        limit = int(self.value("internal.segment.bytes"))
        errors: list[type[Exception]] = []
        if key is None and "compact" in self.value("cleanup.policy"):
            errors.append(InvalidRecordError)
        if size > min(limit, int(self.value("max.message.bytes"))):
            errors.append(RecordTooLargeError)
        producer = self.processes[process].producer
        try:  # it is raised at once where the producer has heard of it, else the future has it
            outcome = producer.send("a", value, key)
            error = outcome.exception()
        except (InvalidRecordError, RecordTooLargeError) as raised:
            error = raised
        assert type(error) in (errors or [type(None)])
        if error is None:
            assert outcome.result().offset == len(self.records)
            self.appended(key, value, codec, size)

    def appended(self, key: bytes | None, value: bytes, codec: int, size: int) -> None:
        if self.filled and self.filled + size > int(self.value("internal.segment.bytes")):
            self.segments.append(len(self.records))
            self.filled = 0
        self.filled += size
        stamped = self.value("message.timestamp.type") == "LogAppendTime"
        self.records.append((key, value, codec, stamped))

    # ---------------------------------------------------------------- ends

    @rule()
    def close_and_reopen(self) -> None:
        self.close()
        assert [str(each) for each in verify_directory(OS_FILESYSTEM, self.path)] == []
        self.open()

    @rule()
    def die_and_reopen(self) -> None:
        """A copy of the directory is what killed processes leave, on another inode."""
        before, former = self.path, self.processes
        self.generation += 1
        shutil.copytree(before, self.path)
        self.open()
        for process in former:
            process.producer.close()
            process.engine.close()

    # ---------------------------------------------------------------- what is there

    @invariant()
    def everybody_tells_the_same(self) -> None:
        for process in self.processes:
            assert process.engine.topic("a").settings == self.set
            described = process.engine.configs.describe("a")
            for name, text in self.set.items():
                assert (described[name].value, described[name].source) == (text, 1)
            unset = set(DEFAULTS) - set(self.set) - {"internal.segment.bytes"}
            assert all(described[name].value == DEFAULTS[name] for name in unset)

    @invariant()
    def the_log_is_as_it_was_told(self) -> None:
        for process in self.processes:
            found: list[tuple[bytes | None, bytes, int, bool]] = []
            log = process.engine.partition("a", 0)
            while len(found) < log.log_end:
                view = log.fetch(len(found), 1 << 20).view
                position = 0
                while position < len(view):
                    batch = RecordBatch(view, position)
                    batch.check()
                    found += [
                        (record.key, record.value, batch.codec, bool(record.timestamp_type))
                        for record in batch.records("a", 0)
                    ]
                    position += batch.size
            assert found == self.records
        if self.records:
            names = sorted(path.name for path in Path(log.directory).glob("*.log"))
            assert names == [f"{base:020}.log" for base in self.segments]

    def teardown(self) -> None:
        try:
            self.close()
            assert [str(each) for each in verify_directory(OS_FILESYSTEM, self.path)] == []
        finally:
            shutil.rmtree(self.root)


TestSettings = SettingsMachine.TestCase
TestSettings.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
