"""What Kafka's broker calls the settings that are the defaults of its topics (facts 9.1).

A directory may hold such defaults: a broker keeps the dynamic ones, for the whole cluster or for
one node, in the metadata log. They come before a topic setting's own default, and under each
topic's overrides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

#: By topic setting, the broker's names for it; where several are set, the first counts.
BROKER_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "cleanup.policy": ("log.cleanup.policy",),
    "compression.type": ("compression.type",),
    "compression.gzip.level": ("compression.gzip.level",),
    "compression.lz4.level": ("compression.lz4.level",),
    "compression.zstd.level": ("compression.zstd.level",),
    "delete.retention.ms": ("log.cleaner.delete.retention.ms",),
    "file.delete.delay.ms": ("log.segment.delete.delay.ms",),
    "flush.messages": ("log.flush.interval.messages",),
    "flush.ms": ("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
    "index.interval.bytes": ("log.index.interval.bytes",),
    "local.retention.bytes": ("log.local.retention.bytes",),
    "local.retention.ms": ("log.local.retention.ms",),
    "max.compaction.lag.ms": ("log.cleaner.max.compaction.lag.ms",),
    "max.message.bytes": ("message.max.bytes",),
    "message.timestamp.after.max.ms": ("log.message.timestamp.after.max.ms",),
    "message.timestamp.before.max.ms": ("log.message.timestamp.before.max.ms",),
    "message.timestamp.type": ("log.message.timestamp.type",),
    "min.cleanable.dirty.ratio": ("log.cleaner.min.cleanable.ratio",),
    "min.compaction.lag.ms": ("log.cleaner.min.compaction.lag.ms",),
    "min.insync.replicas": ("min.insync.replicas",),
    "preallocate": ("log.preallocate",),
    "remote.copy.lag.bytes": ("log.remote.copy.lag.bytes",),
    "remote.copy.lag.ms": ("log.remote.copy.lag.ms",),
    "retention.bytes": ("log.retention.bytes",),
    "retention.ms": ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    "segment.bytes": ("log.segment.bytes",),
    "segment.index.bytes": ("log.index.size.max.bytes",),
    "segment.jitter.ms": ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    "segment.ms": ("log.roll.ms", "log.roll.hours"),
    "unclean.leader.election.enable": ("unclean.leader.election.enable",),
}

_UNITS_MS = {"minutes": 60_000, "hours": 3_600_000}


class BrokerValue(NamedTuple):
    """A topic setting's default, as `name`, a broker's setting, gives it: text, in ms if a time."""

    name: str
    value: str


def topic_defaults(broker_settings: Mapping[str, str]) -> dict[str, BrokerValue]:
    """What a broker's dotted settings say about its topics, by topic setting."""
    return dict(_topic_defaults(broker_settings))


def _topic_defaults(broker_settings: Mapping[str, str]) -> Iterator[tuple[str, BrokerValue]]:
    for topic_setting, synonyms in BROKER_SYNONYMS.items():
        for name in synonyms:
            if name in broker_settings:
                yield topic_setting, BrokerValue(name, _in_ms(name, broker_settings[name]))
                break


def _in_ms(name: str, text: str) -> str:
    """A number of hours or minutes in ms; a negative one is Kafka's "no limit"."""
    factor = _UNITS_MS.get(name.rpartition(".")[2])
    if factor is None:
        return text
    return str(max(int(text) * factor, -1))
