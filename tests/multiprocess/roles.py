"""What child processes do: one function a role, called with the pipe to report through."""

from __future__ import annotations

import os
import random
import signal
import zlib
from typing import Any

import streamlog
from tests.multiprocess import planted
from tests.multiprocess.topic_changes import TOPICS_AT_ONCE, topic_name, topic_value
from tests.multiprocess.trimming import DELETED_BY_HAND, KEPT_RECORDS
from tests.multiprocess.values import (
    ACKNOWLEDGED,
    COMPACTED,
    COMPACTED_TOPIC,
    CREATED,
    CREATING,
    DELETED,
    DELETING,
    ENDED,
    KEYED,
    KEYING,
    KEYS,
    PLACES,
    READ,
    SENDING,
    SYNCED,
    TOPIC,
    TRIMMED,
    TRIMMING,
    Report,
    key_of,
    origin_of,
    say,
    value_of,
)

PRODUCERS: list[dict[str, Any]] = [
    {"acks": 1},
    {"acks": "all"},
    {"acks": "all", "enable_idempotence": True},
    {"acks": 1, "compression_type": "zstd", "linger_ms": 0},
]


class _Stop:
    """Whether the child was asked, by SIGTERM, to end as a program should."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def _ask(self, *_: object) -> None:
        self.asked = True


class _Writer:
    """Sends numbered values: says so before, and says what was acknowledged after."""

    def __init__(self, pipe: int, log: streamlog.StreamLog, writer: int, *, lies: bool) -> None:
        self._pipe = pipe
        self._writer = writer
        self._lies = lies
        self._random = random.Random(writer)
        self._settings = PRODUCERS[writer % len(PRODUCERS)]
        self._numbers = [0] * len(PLACES)
        self.use(log)

    def use(self, log: streamlog.StreamLog) -> None:
        """Go on with another opening of the log."""
        self._producer = log.producer(**self._settings)

    def work(self) -> None:
        place = self._random.randrange(len(PLACES))
        count = self._random.choice([1, 1, 2, 5, 20])
        first = self._numbers[place]
        self._numbers[place] += count
        say(self._pipe, Report(SENDING, place, first, count))
        values = [value_of(self._writer, place, first + each) for each in range(count)]
        if self._lies:
            say(self._pipe, Report(ACKNOWLEDGED, place, first, count, -1))
        if count > 2 and self._random.random() < 0.5:
            self._send_many(place, first, values)
        else:
            self._send(place, first, values)

    def _send(self, place: int, first: int, values: list[bytes]) -> None:
        topic, partition = PLACES[place]
        futures = [self._producer.send(topic, value, partition=partition) for value in values]
        for number, future in enumerate(futures, first):
            self._acknowledge(place, number, 1, future.result().offset)

    def _send_many(self, place: int, first: int, values: list[bytes]) -> None:
        topic, partition = PLACES[place]
        for batch in self._producer.send_many(topic, values, partition=partition).result():
            self._acknowledge(place, first, batch.count, batch.base_offset)
            first += batch.count

    def _acknowledge(self, place: int, first: int, count: int, offset: int) -> None:
        if not self._lies:
            kind = SYNCED if self._settings["acks"] == "all" else ACKNOWLEDGED
            say(self._pipe, Report(kind, place, first, count, offset))


def writer(
    pipe: int,
    path: str,
    writer: int,
    plant: str = "",
    dies: bool = False,
    reopens: float = 0.0,
    stops: bool = False,
) -> None:
    """Write to all places until killed, or until told to end.

    `reopens` is how likely it closes the log and opens it again after a sending. `stops`: it
    stops itself when it has opened.
    """
    stop = _Stop()
    planted.plant(plant)
    if dies:
        planted.die_half_way_through_a_write(random.Random(writer))
    log = streamlog.open(path)
    work = _Writer(pipe, log, writer, lies=plant == "early acknowledgement")
    if stops:
        os.kill(os.getpid(), signal.SIGSTOP)
    chance = random.Random(writer)
    while not stop.asked:
        work.work()
        if chance.random() < reopens:
            log.close()
            log = streamlog.open(path)
            work.use(log)
    log.close()
    say(pipe, Report(ENDED))


def administrator(pipe: int, path: str, first: int, plant: str = "") -> None:
    """Create topics with one record each, delete them and create them again, until told to end."""
    stop = _Stop()
    planted.plant(plant)
    with streamlog.open(path) as log, log.producer(acks="all") as producer:
        for number in range(first, first + 1000):
            name, oldest = topic_name(number), number - TOPICS_AT_ONCE
            if stop.asked:
                break
            if oldest >= first:
                say(pipe, Report(TOPIC, oldest, DELETING))
                log.delete_topic(name)
                say(pipe, Report(TOPIC, oldest, DELETED))
            say(pipe, Report(TOPIC, number, CREATING))
            log.create_topic(name, internal_segment_bytes=1000)
            producer.send(name, topic_value(number)).result()
            say(pipe, Report(TOPIC, number, CREATED))
        while not stop.asked:
            signal.pause()
    say(pipe, Report(ENDED))


def housekeeper(pipe: int, path: str, seed: int, plant: str = "") -> None:
    """Apply retention, its own thread beside it, and delete records, until told to end."""
    stop = _Stop()
    planted.plant(plant)
    draw = random.Random(seed)
    with streamlog.open(path, log_retention_check_interval_ms=20) as log:
        while not stop.asked:
            log.admin.apply_retention()
            place = draw.choice(DELETED_BY_HAND)
            partition = PLACES[place]
            begin = log.admin.beginning_offsets([partition])[partition]
            end = log.admin.end_offsets([partition])[partition]
            offset = draw.randint(begin, max(begin, end - KEPT_RECORDS))
            say(pipe, Report(TRIMMING, place, offset=offset))
            log.admin.delete_records({partition: offset})
            say(pipe, Report(TRIMMED, place, offset=offset))
    say(pipe, Report(ENDED))


def traveller(pipe: int, path: str, seed: int) -> None:
    """Create a topic, fill it, read it and delete it, over and over; clear up after the dead."""
    stop = _Stop()
    with streamlog.open(path) as log, log.producer(acks="all") as producer:
        for name in [name for name in log.topics() if name.startswith("journey-")]:
            log.delete_topic(name)
        number = 0
        while not stop.asked:
            name, values = f"journey-{seed}-{number}", [b"%d" % each * 20 for each in range(50)]
            log.create_topic(name)
            producer.send_many(name, values, partition=0).result()
            assert [bytes(record.value) for record in log.read(name)] == values
            log.delete_topic(name)
            number += 1
            say(pipe, Report(TOPIC, seed, DELETED))
    say(pipe, Report(ENDED))


def compactor(pipe: int, path: str, writer: int, plant: str = "") -> None:
    """Send values of a few keys and compact, over and over; of each key the last one is left."""
    stop = _Stop()
    planted.plant(plant)
    number = 0
    with streamlog.open(path) as log:
        while not stop.asked:
            numbers = range(number, number + 10 * KEYS)
            number = numbers.stop
            send_keyed(pipe, log, writer, numbers)
            log.admin.compact(COMPACTED_TOPIC)
            say(pipe, Report(COMPACTED))
            left = [origin_of(record.value) for record in log.read(COMPACTED_TOPIC)]
            mine = [number for whose, _, number in left if whose == writer]
            assert mine == list(numbers[-KEYS:]), (mine, numbers)
    say(pipe, Report(ENDED))


def send_keyed(pipe: int, log: streamlog.StreamLog, writer: int, numbers: range) -> None:
    """Send these values of a writer to the topic that is compacted, on the disk when it returns."""
    values = [value_of(writer, 0, number) for number in numbers]
    keys = [key_of(writer, number) for number in numbers]
    say(pipe, Report(KEYING, 0, numbers.start, len(numbers)))
    with log.producer(acks="all") as producer:
        producer.send_many(COMPACTED_TOPIC, values, keys=keys, partition=0).result()
    say(pipe, Report(KEYED, 0, numbers.start, len(numbers)))


def reader(pipe: int, path: str, starts: list[int], plant: str = "", reset: str = "none") -> None:
    """Follow all places from these offsets on until killed, or until told to end.

    `reset` is for records that are gone: "earliest" where logs begin anew.
    """
    stop = _Stop()
    index = {place: number for number, place in enumerate(PLACES)}
    with streamlog.open(path) as log, log.consumer(auto_offset_reset=reset) as consumer:
        consumer.assign(PLACES)
        for place, start in zip(PLACES, starts, strict=True):
            consumer.seek(place, start)
        while not stop.asked:
            for place, records in consumer.poll_by_partition(timeout_ms=100).items():
                if plant == "skipping reader" and len(records) > 3:
                    del records[1]
                _report_read(pipe, index[place], records)
    say(pipe, Report(ENDED))


def _report_read(pipe: int, place: int, records: list[Any]) -> None:
    """Reports carry the offsets of the records, run by run: holes and repeats show."""
    while records:
        first = records[0].offset
        count = next((n for n, r in enumerate(records) if r.offset != first + n), len(records))
        checksum = zlib.crc32(b"".join(bytes(record.value) for record in records[:count]))
        say(pipe, Report(READ, place, 0, count, first, checksum))
        records = records[count:]


def dying_writer(pipe: int, path: str, step: int) -> None:
    """Send values of one writer to the first place; be killed at a step of the appends."""
    topic, partition = PLACES[0]
    with streamlog.open(path) as log, log.producer(acks=1) as producer:
        producer.send(topic, value_of(1, 0, 0), partition=partition).result()
        say(pipe, Report(SENDING, 0, 0, 1))
        say(pipe, Report(ACKNOWLEDGED, 0, 0, 1, 0))
        planted.die_at_step(step)
        for number in range(1, 7):
            say(pipe, Report(SENDING, 0, number, 1))
            offset = producer.send(topic, value_of(1, 0, number), partition=partition).result()
            say(pipe, Report(ACKNOWLEDGED, 0, number, 1, offset.offset))
    say(pipe, Report(ENDED))
