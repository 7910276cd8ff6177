"""A real Kafka broker to be measured against: one that runs, or one that is started for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START = "start"


@contextmanager
def broker_at(wanted: str | None, scratch: Path) -> Iterator[str | None]:
    """The address that `--broker` gave; for `start`, that of a broker which ends with the block.

    It is the broker of the interop tests, with their settings; needs Java, and Maven to get it.
    """
    if wanted != START:
        yield wanted
        return
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from tests.interop.rig.broker import Broker
    from tests.interop.rig.jars import KafkaJars, fetch_kafka

    class FullSpeedJars(KafkaJars):
        """Not with the options that make tests start fast, but with those of Kafka's scripts."""

        def command(self, main_class: str, *arguments: str, heap: str = "1g") -> list[str]:
            java, *_ = super().command(main_class)
            places = f"{self.folder}/jars/*:{self.folder}/conf"
            size = (f"-Xmx{heap}", f"-Xms{heap}")
            return [java, *size, "-server", "-XX:+UseG1GC", "-cp", places, main_class, *arguments]

    broker = Broker(FullSpeedJars(fetch_kafka().folder), scratch / "broker")
    broker.format()
    broker.start()
    try:
        yield broker.bootstrap
    finally:
        broker.stop()
