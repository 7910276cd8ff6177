"""Threads of one process that come to the engine at the same moment."""

from __future__ import annotations

import threading

from streamlog.broker.engine import Engine

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
