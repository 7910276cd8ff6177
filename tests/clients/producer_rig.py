"""Producers of either kernel on a real directory, with a clock and a sender that tests move."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from streamlog.broker.engine import Engine
from streamlog.clients.asynchronous.workers import Workers
from streamlog.clients.sender import Sender
from streamlog.config import ProducerConfig
from streamlog.record.kernel import Record, RecordBatch
from streamlog.testing.clock import ManualClock
from tests.clients.skins import LIMIT_S, SKINS, Driven, DrivenFuture, LoopThread

KERNELS_AND_SKINS = [f"{kernel} {skin}" for kernel in ("pure", "compiled") for skin in SKINS]
CLIENTS = "streamlog.clients."
DEPENDENT = (
    "accumulators", "awaitables", "known_topics", "dispatch", "bulk", "producer",
    "asynchronous.loop_producer", "asynchronous.producer",
)  # fmt: skip
NAMES = ("PartitionQueue", "ProducerBatch", "RecordAccumulator", "RecordFuture", "TopicTarget")
COLUMNS = ("group_by_partition", "largest_size")
AWAITABLES = ("AsyncRecordStream", "AsyncSender", "NextRecord", "Resolved")


class Classes(NamedTuple):
    """The producers on top of one kernel's accumulator."""

    producer: Any
    loop_producer: Any
    async_producer: Any


@cache
def classes_of(kernel: str) -> Classes:
    """The classes of one kernel, whichever one the process runs on."""
    prefix = "_" if kernel == "compiled" else ""
    if importlib.util.find_spec(f"{CLIENTS}{prefix}accumulator") is None:
        pytest.skip("the compiled kernel was not built: no C compiler at installation")
    import streamlog.clients.asynchronous.producer  # what is put back below is there

    importlib.import_module(CLIENTS + "asynchronous.loop_producer")
    usual = {name: sys.modules.pop(CLIENTS + name) for name in DEPENDENT}
    for module, parts in (
        ("accumulators", {"accumulator": NAMES, "columns": COLUMNS}),
        ("awaitables", {"awaitable": AWAITABLES}),
    ):
        chosen = sys.modules[CLIENTS + module] = ModuleType(CLIENTS + module)
        for part, names in parts.items():
            found = importlib.import_module(f"{CLIENTS}{prefix}{part}")
            chosen.__dict__.update({name: getattr(found, name) for name in names})
    streamlog.clients.__dict__.pop("bulk", None)
    try:
        return Classes(
            importlib.import_module(CLIENTS + "producer").Producer,
            importlib.import_module(CLIENTS + "asynchronous.loop_producer").LoopProducer,
            importlib.import_module(CLIENTS + "asynchronous.producer").AsyncProducer,
        )
    finally:
        for name, module in usual.items():
            sys.modules[CLIENTS + name] = module
            package, _, last = (CLIENTS + name).rpartition(".")
            setattr(sys.modules[package], last, module)


class TrackedWorkers(Workers):
    """Workers whose end can be waited for, where the synchronous producer would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: deque[Future[Any]] = deque()

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        self._jobs.append(super().submit(function))
        return self._jobs[-1]

    def settle(self) -> bool:
        """Wait for the end of all jobs; whether there were any."""
        jobs = list(self._jobs)
        wait(jobs, LIMIT_S)
        for job in jobs:
            with contextlib.suppress(ValueError):  # another thread took it off
                self._jobs.remove(job)
        return bool(jobs)


class TrackedSender(Sender):
    """A sender whose ticks wait for the workers, and go on with what those wrote."""

    def __init__(self, workers: TrackedWorkers) -> None:
        super().__init__(threaded=False)
        self._workers = workers

    def tick(self) -> float:
        due = super().tick()
        while self._workers.settle():
            due = super().tick()
        return due


class DrivenProducer(Driven):
    """An `AsyncProducer` with the synchronous one's calls, which are over when they return."""

    def __init__(self, driven: Any, thread: LoopThread, workers: TrackedWorkers) -> None:
        super().__init__(driven, thread, driven.synchronous)
        self._workers = workers

    def _run(self, call: Callable[[], Any]) -> Any:
        try:
            found = super()._run(call)
        finally:
            self._workers.settle()
        if isinstance(found, DrivenFuture):
            found.settle = self._workers.settle
        return found


class Rig:
    """An engine, and producers on it that no background thread serves."""

    def __init__(self, engine: Engine, kernel: str, thread: LoopThread | None) -> None:
        self.engine = engine
        self.kernel = kernel
        self.clock = ManualClock()
        self.choices: list[int] = []
        self._thread = thread
        self._workers = TrackedWorkers()
        self.sender: Sender = TrackedSender(self._workers)
        self._classes = classes_of(kernel)
        self._made: list[Any] = []

    def producer(self, **settings: Any) -> Any:
        settings.setdefault("acks", 1)
        config = ProducerConfig.from_settings(settings)
        injected: dict[str, Any] = {
            "clock": self.clock,
            "random_below": self._choose,
            "process_sender": self.sender,
        }
        if self._thread is None:
            made = self._classes.producer(self.engine, config, **injected)
        else:
            under = self._classes.loop_producer(self.engine, config, self._workers, **injected)
            producer = self._classes.async_producer(under, self.engine, self._workers)
            made = DrivenProducer(producer, self._thread, self._workers)
        self._made.append(made)
        return made

    @staticmethod
    def under(producer: Any) -> Any:
        """The `Producer` that it is, or that it drives."""
        return getattr(producer, "inner", producer)

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
def open_rig(path: str, kernel: str, thread: LoopThread | None = None) -> Iterator[Rig]:
    """A rig of synchronous producers, or with a `thread` of asynchronous ones."""
    engine = Engine.open(path)
    rig = Rig(engine, kernel, thread)
    try:
        yield rig
    finally:
        for producer in rig._made:
            producer._failures.clear()
            producer.close()
        engine.close()
