"""Processes that append, read and ask for the end as fast as they can, and note what they did.

Each writes its history into a file of its own. `operations` are calls: a batch is one.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path
from time import monotonic_ns
from typing import Any

import streamlog
from streamlog.testing.histories import APPEND, END, READ, READ_TO_END, History, checksum
from streamlog.types import TopicPartition
from tests.multiprocess import planted
from tests.multiprocess.saying import answer

PLACE = TopicPartition("flights", 0)
_NUMBER = struct.Struct("=q")
_NUMBERS_A_PROCESS = 1 << 40
_MOST = 200


def record(
    pipe: int, path: str, process: int, operations: int, doing: str, seed: int, plant: str = ""
) -> None:
    """Do so many operations ("append", "read" or "look") and save their history."""
    planted.plant(plant)
    history = History()
    with streamlog.open(path) as log:
        answer(pipe, "ready")
        DOINGS[doing](log, history, process, operations, random.Random(f"{seed} {process}"))
    Path(f"{path}.{process}").write_bytes(history.dump())
    answer(pipe, "done")


def _append(
    log: streamlog.StreamLog, history: History, process: int, operations: int, draw: random.Random
) -> None:
    """One record, and now and then many of them in one batch."""
    number = process * _NUMBERS_A_PROCESS
    pack, note = _NUMBER.pack, history.note
    single = log.producer(acks=1, linger_ms=60_000)
    for _ in range(operations):
        count = draw.choice((1, 1, 1, 1, 1, 1, 1, draw.randrange(2, 40)))
        if count == 1:
            value = pack(number)
            began = monotonic_ns()
            offset = single.send(*PLACE[:1], value, partition=0).result().offset
        else:
            values = [pack(number + each) for each in range(count)]
            began = monotonic_ns()
            found = single.send_many(PLACE.topic, values, partition=0).result()
            assert len(found) == 1, "so few fit into one batch"
            offset = found[0].base_offset
        note(APPEND, began, monotonic_ns(), offset, count, number)
        number += count


def _read(
    log: streamlog.StreamLog, history: History, process: int, operations: int, draw: random.Random
) -> None:
    """Follow the log; a poll that returns nothing was at its end."""
    position, done = 0, 0
    with log.consumer(auto_offset_reset="earliest") as consumer:
        consumer.assign([PLACE])
        while done < operations:
            began = monotonic_ns()
            records = consumer.poll(0, max_records=_MOST)
            ended = monotonic_ns()
            _note_read(history, READ if records else READ_TO_END, began, ended, position, records)
            position += len(records)
            done += 1
            if done % 1000 == 0:  # somewhere else, and to the end
                position = max(0, position - draw.randrange(3000))
                consumer.seek(PLACE, position)
                began = monotonic_ns()
                rest = list(log.read(PLACE.topic, 0, start=position))
                _note_read(history, READ_TO_END, began, monotonic_ns(), position, rest)


def _note_read(
    history: History, kind: int, began: int, ended: int, position: int, records: list[Any]
) -> None:
    offsets = [record.offset for record in records]
    assert offsets == list(range(position, position + len(records))), (position, offsets[:3])
    numbers = [_NUMBER.unpack(record.value)[0] for record in records]
    history.note(kind, began, ended, position, len(records), checksum(numbers))


def _look(
    log: streamlog.StreamLog, history: History, process: int, operations: int, draw: random.Random
) -> None:
    """Ask where the log ends."""
    admin, note = log.admin, history.note
    for _ in range(operations):
        began = monotonic_ns()
        end = admin.end_offsets([PLACE])[PLACE]
        note(END, began, monotonic_ns(), end)


DOINGS = {"append": _append, "read": _read, "look": _look}
