"""Producers of either kernel on a real directory, with a clock and a sender that tests move."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.clients.sender import Sender
from streamlog.config import ProducerConfig
from streamlog.record.kernel import Record, RecordBatch
from streamlog.testing.clock import ManualClock

CLIENTS = "streamlog.clients."
DEPENDENT = ("accumulators", "dispatch", "bulk", "producer")
NAMES = ("PartitionQueue", "ProducerBatch", "RecordAccumulator", "RecordFuture", "TopicTarget")
COLUMNS = ("group_by_partition", "largest_size")


def producer_class(kernel: str) -> Any:
    """`Producer` on top of one kernel's accumulator, whichever one the process runs on."""
    prefix = "_" if kernel == "compiled" else ""
    if importlib.util.find_spec(f"{CLIENTS}{prefix}accumulator") is None:
        pytest.skip("the compiled kernel was not built: no C compiler at installation")
    chosen: Any = ModuleType(CLIENTS + "accumulators")
    for name in NAMES:
        value = getattr(importlib.import_module(f"{CLIENTS}{prefix}accumulator"), name)
        setattr(chosen, name, value)
    for name in COLUMNS:
        setattr(chosen, name, getattr(importlib.import_module(f"{CLIENTS}{prefix}columns"), name))
    import streamlog.clients.producer  # noqa: F401  # what is put back below is there

    clients = sys.modules["streamlog.clients"]
    usual = {name: sys.modules.pop(CLIENTS + name) for name in DEPENDENT}
    sys.modules[CLIENTS + "accumulators"] = chosen
    clients.__dict__.pop("bulk", None)
    try:
        return importlib.import_module(CLIENTS + "producer").Producer
    finally:
        for name, module in usual.items():
            sys.modules[CLIENTS + name] = module
            setattr(clients, name, module)


class Rig:
    """An engine, and producers on it that no background thread serves."""

    def __init__(self, engine: Engine, kernel: str) -> None:
        self.engine = engine
        self.kernel = kernel
        self.clock = ManualClock()
        self.sender = Sender(threaded=False)
        self.choices: list[int] = []
        self._class = producer_class(kernel)
        self._made: list[Any] = []

    def producer(self, **settings: Any) -> Any:
        settings.setdefault("acks", 1)
        producer = self._class(
            self.engine,
            ProducerConfig.from_settings(settings),
            clock=self.clock,
            random_below=self._choose,
            process_sender=self.sender,
        )
        self._made.append(producer)
        return producer

    def _choose(self, count: int) -> int:
        return self.choices.pop(0) % count if self.choices else 0

    def batches(self, topic: str, partition: int = 0) -> list[RecordBatch]:
        log = self.engine.partition(topic, partition)
        found: list[RecordBatch] = []
        while (offset := found[-1].next_offset if found else log.log_start) < log.log_end:
            view = log.fetch(offset, 1 << 20).view
            position = 0
            while position < len(view):
                batch = RecordBatch(view, position)
                batch.check()
                found.append(batch)
                position += batch.size
        return found

    def records(self, topic: str, partition: int = 0) -> list[Record]:
        return [
            record
            for batch in self.batches(topic, partition)
            for record in batch.records(topic, partition)
        ]

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        return [record.value for record in self.records(topic, partition)]


@contextmanager
def open_rig(path: str, kernel: str) -> Iterator[Rig]:
    engine = Engine.open(path)
    rig = Rig(engine, kernel)
    try:
        yield rig
    finally:
        for producer in rig._made:
            producer._failures.clear()
            producer.close()
        engine.close()
