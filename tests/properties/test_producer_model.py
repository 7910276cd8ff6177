"""Any sequence of producer calls against a list per partition."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.clients.producer_rig import open_rig

PARTITIONS = 3
VALUES = st.none() | st.binary(max_size=12) | st.binary(min_size=200, max_size=400)
PLACES = st.none() | st.integers(0, PARTITIONS - 1)
KEYS = st.none() | st.sampled_from([b"", b"a", b"b", b"c"])


class ProducerModel(RuleBasedStateMachine):
    """What was sent is what is read: all of it after a flush, a prefix of it before."""

    kernel: str

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.context = open_rig(self.directory + "/log", self.kernel)
        self.rig = self.context.__enter__()
        self.rig.engine.create_topic("t", PARTITIONS)
        self.producer = self.rig.producer(batch_size=300, buffer_memory=700, linger_ms=5)
        self.sent: list[tuple[Any, bytes | None, bytes | None]] = []  # future, key, value
        self.many: list[tuple[Any, list[bytes | None]]] = []

    @rule(value=VALUES, key=KEYS, partition=PLACES, sticky=st.integers(0, 9))
    def send(
        self, value: bytes | None, key: bytes | None, partition: int | None, sticky: int
    ) -> None:
        self.rig.choices = [sticky]
        future = self.producer.send("t", value, key=key, partition=partition)
        self.sent.append((future, key, value))

    @rule(values=st.lists(VALUES, max_size=8), partition=st.integers(0, PARTITIONS - 1))
    def send_many(self, values: list[bytes | None], partition: int) -> None:
        self.many.append((self.producer.send_many("t", values, partition=partition), values))

    @rule(index=st.integers(0, 1000))
    def wait_for_one(self, index: int) -> None:
        if self.sent:
            future, _, _ = self.sent[index % len(self.sent)]
            future.result()
            assert future.done()

    @rule(ms=st.integers(0, 9))
    def let_time_pass(self, ms: int) -> None:
        self.rig.clock.advance(ms)
        self.rig.sender.tick()

    @rule()
    def flush(self) -> None:
        self.producer.flush()
        assert self.producer.memory_used == 0
        self._check(wait=True)

    @invariant()
    def what_is_done_is_there(self) -> None:
        assert self.producer.memory_used <= 700
        self._check(wait=False)

    def _check(self, *, wait: bool) -> None:
        """Every settled future's record is where the future says; after a flush nothing else."""
        logs = [self.rig.records("t", partition) for partition in range(PARTITIONS)]
        found = 0
        for future, key, value in self.sent:
            if wait or future.done():
                at = future.result()
                record = logs[at.partition][at.offset]
                assert (record.offset, record.key, record.value) == (at.offset, key, value)
                found += 1
        for future, values in self.many:
            places = future.result()
            read = [
                logs[place.partition][place.base_offset + n].value
                for place in places
                for n in range(place.count)
            ]
            assert read == values
            found += len(values)
        assert sum(map(len, logs)) == found
        self._check_order()

    def _check_order(self) -> None:
        last = [-1] * PARTITIONS
        for future, _, _ in self.sent:
            if future.done():
                at = future.result()
                assert at.offset > last[at.partition]
                last[at.partition] = at.offset

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.directory)


@pytest.mark.parametrize("kernel", ["pure", "compiled"])
def test_a_producer_is_a_list_per_partition(kernel: str) -> None:
    machine: Any = type("Machine", (ProducerModel,), {"kernel": kernel})
    machine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
    machine.TestCase("runTest").runTest()
