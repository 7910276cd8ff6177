"""Threads of one process that come to the engine at the same moment."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import UnknownTopicError
from tests.broker.conftest import append, batch, read

_PATIENCE_S = 10.0
_A_MOMENT_S = 0.2


def test_who_holds_the_metadata_and_who_makes_a_log_do_not_wait_for_each_other(
    engine: Engine,
) -> None:
    """A consumer resolves its partitions under the metadata's lock; a producer's first send
    makes a log, which looks at the metadata."""
    engine.create_topic("orders", 2)
    topic_id = engine.image.topics["orders"].topic_id
    making, held = threading.Event(), threading.Event()
    make = engine.partitions._make

    def slow_make(topic_id: bytes, partition: int, topic: str) -> object:
        making.set()
        return make(topic_id, partition, topic)

    engine.partitions._make = slow_make  # type: ignore[assignment]

    def resolve() -> None:
        with engine.metadata.lock:
            held.set()
            making.wait(_A_MOMENT_S)  # never, unless logs are made under another lock
            engine.partition("orders", 1)

    def send() -> None:
        held.wait(_PATIENCE_S)
        engine.partitions.get(topic_id, 0, "orders")

    threads = [threading.Thread(target=work, daemon=True) for work in (resolve, send)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)


def test_a_reader_whose_segment_another_thread_closes_looks_again(engine: Engine) -> None:
    """A roll or an eviction closes a segment between a reader's finding it and its reading it."""
    engine.create_topic("orders")
    log = engine.partition("orders", 0)
    append(log, b"a", b"b")
    segment = log._reader.segment
    closings: list[Any] = []

    def segment_closed_at_once(*arguments: Any) -> Any:
        found = segment(*arguments)
        if len(closings) < 3:
            log._reader.close()
        closings.append(found)
        return found

    log._reader.segment = segment_closed_at_once  # type: ignore[method-assign, assignment]
    assert read(log) == [(0, b"a"), (1, b"b")]
    closings.clear()
    found = log.offset_for_time(1000)
    assert found is not None
    assert found.offset == 0


def test_who_opens_files_of_a_topic_that_is_being_deleted_is_told_so(engine: Engine) -> None:
    engine.create_topic("orders")
    log = engine.partition("orders", 0)
    append(log, b"a")
    log.close()
    log.on_open = lambda _: engine.delete_topic("orders") if "orders" in engine.topics() else None
    with pytest.raises(UnknownTopicError, match="was deleted"):
        log._open_files()
    assert log.open_descriptors == 0


def test_an_idempotent_append_whose_partition_is_evicted_meanwhile_is_no_failure(
    engine: Engine,
) -> None:
    engine.create_topic("orders")
    log = engine.partition("orders", 0)
    write = log._append

    def write_and_evict(*arguments: Any) -> Any:
        result = write(*arguments)
        log.close()
        return result

    log._append = write_and_evict  # type: ignore[method-assign, assignment]
    for sequence in range(3):
        records = batch(b"x", producer_id=7, producer_epoch=0, base_sequence=sequence)
        outcome = log.append(records, check_producers=True, now_ms=2000)
        assert outcome is not None
        assert outcome.base_offset == sequence
