"""What one record costs inside the producer itself: no log behind it, batches are dropped."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from streamlog.broker import produce
from streamlog.broker.engine import Engine
from streamlog.clients.producer import Producer
from streamlog.config import ProducerConfig
from streamlog.record.kernel import KERNEL
from streamlog.storage.partition_log import AppendOutcome

RECORDS = 200_000 if KERNEL == "compiled" else 10_000
VALUE = b"x" * 100


def dropped(*_: Any, **__: Any) -> AppendOutcome:
    return AppendOutcome(0, 0, 0)


def ns_per_record(work: Callable[[], object]) -> float:
    def once() -> float:
        started = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - started) / RECORDS

    return median(once() for _ in range(5))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine.open(directory + "/log")
        engine.create_topic("one")
        producer = Producer(engine, ProducerConfig.from_settings({"acks": 1}))
        values = [VALUE] * RECORDS

        def send() -> None:
            for value in values:
                producer.send("one", value)
            producer.flush()

        def send_keyed() -> None:
            for value in values:
                producer.send("one", value, key=b"key")
            producer.flush()

        def send_many() -> None:
            producer.send_many("one", values).result()

        work = (send, send_keyed, send_many)
        written = [ns_per_record(each) for each in work]
        real, produce.append = produce.append, dropped
        alone = [ns_per_record(each) for each in work]
        produce.append = real
        print(f"kernel {KERNEL}, 100-byte values, acks=1 (written), ns a record, median of 5")
        for each, without_log, with_log in zip(work, alone, written, strict=True):
            print(f"{each.__name__:12} {without_log:8.0f} without a log {with_log:8.0f} with it")
        producer.close()
        engine.close()


if __name__ == "__main__":
    main()
