"""What meets a fault: one line an operation. A new operation is one more line here.

`begins`: the prepared directory that it starts on; `prepare`: what is done before the fault,
`act`: what meets it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.faults.stage import PLACE, Stage


class Operation(NamedTuple):
    name: str
    begins: str  # "closed", "killed" or "compacted"
    prepare: Callable[[Stage], object]
    act: Callable[[Stage], object]


def _append_first(stage: Stage) -> None:
    """The first record of a partition: its slot, its folder, its files."""
    stage.producer.send("ships", b"first").result()


def _sync(stage: Stage) -> None:
    stage.log.sync()


def _roll(stage: Stage) -> None:
    stage.send(size=900)


def _fetch(stage: Stage) -> None:
    stage.check()


def _seek(stage: Stage) -> None:
    stage.consumer.seek(PLACE, 7)
    records = stage.consumer.poll(0)
    assert [record.offset for record in records][:1] == [7]


def _backup(stage: Stage) -> None:
    """A second backup, in the place of the first; whatever becomes of it, one of them is there."""
    stage.log.backup(stage.path + ".backup")


def _idle(stage: Stage) -> None:
    """Nothing."""


OPERATIONS = [
    Operation("open", "closed", _idle, Stage.open),
    Operation("recover", "killed", _idle, Stage.open),
    Operation("create", "closed", Stage.open, lambda s: s.log.create_topic("trains")),
    Operation("append", "closed", Stage.open_producer, Stage.send),
    Operation("first append", "closed", Stage.open_producer, _append_first),
    Operation("sync", "closed", Stage.open_producer, _sync),
    Operation("roll", "closed", Stage.open_producer, _roll),
    Operation("fetch", "closed", Stage.open, _fetch),
    Operation("seek", "closed", Stage.open_consumer, _seek),
    Operation("compact", "compacted", Stage.open_to_compact, lambda s: s.tend()),
    Operation("retain", "closed", Stage.open_to_retain, lambda s: s.tend()),
    Operation("delete", "closed", Stage.open, lambda s: s.log.delete_topic("planes")),
    Operation("backup", "closed", Stage.open_backed_up, _backup),
    Operation("close", "closed", Stage.open_producer, lambda s: s.log.close()),
]
