"""The order of what a crash may come between, where the order is the promise."""

from __future__ import annotations

import re

import pytest

from streamlog.broker.backup import back_up
from streamlog.broker.engine import Engine
from streamlog.errors import InputOutputError, PartitionPoisonedError
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.broker.compacted import ORDERS, SETTINGS, write
from tests.broker.machine import Machine

_NAMES = ("rename", "unlink", "sync_directory")
_SYNCS = ("fsync", "fdatasync")
FOLDER = "/log/orders-0"


class Steps:
    """The changes and syncs of names from `begin` on, those of one kind together once.

    With `syncs` those of files as well, each; they are not named.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._watched: tuple[str, ...] = ()
        self.found: list[str] = []
        genuine = MemoryFilesystem._ask

        def ask(filesystem: MemoryFilesystem, operation: str, target: str | int) -> None:
            if operation in self._watched:
                path = "" if isinstance(target, int) else re.sub("[0-9]{20}", "N", target)
                step = f"{operation} {path}".strip()
                if operation in _SYNCS or self.found[-1:] != [step]:
                    self.found.append(step)
            genuine(filesystem, operation, target)

        monkeypatch.setattr(MemoryFilesystem, "_ask", ask)

    def begin(self, *, syncs: bool = False) -> None:
        self._watched = _NAMES + (_SYNCS if syncs else ())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def open_with(machine: Machine, **settings: object) -> tuple[Engine, MemoryFilesystem]:
    """A log of some segments, all of it on the disk."""
    engine, filesystem = machine.open()
    engine.create_topic("orders", 1, settings)
    write(engine, count=12)
    engine.sync()
    return engine, filesystem


def test_compaction_exchanges_segments_step_by_step(steps: Steps) -> None:
    engine, _ = open_with(Machine(), **SETTINGS, segment_bytes=1 << 20)
    engine.alter_topics({"orders": {"internal_segment_bytes": None}})
    steps.begin()
    engine.compact("orders")
    begin = steps.found.index(f"rename {FOLDER}/N.log.cleaned")
    end = steps.found.index("rename /log/cleaner-offset-checkpoint.tmp", begin)
    assert steps.found[begin - 1 : end] == [
        f"sync_directory {FOLDER}",  # the cleaned files
        f"rename {FOLDER}/N.log.cleaned",
        f"rename {FOLDER}/N.index.cleaned",
        f"rename {FOLDER}/N.timeindex.cleaned",
        f"sync_directory {FOLDER}",  # the exchange is complete, a crash rolls it forward
        f"unlink {FOLDER}/N.log",
        f"sync_directory {FOLDER}",  # no index without its log
        *[f"unlink {FOLDER}/N.index", f"unlink {FOLDER}/N.timeindex"] * 4,
        f"sync_directory {FOLDER}",
        f"rename {FOLDER}/N.index.swap",
        f"rename {FOLDER}/N.timeindex.swap",
        f"rename {FOLDER}/N.log.swap",
        f"sync_directory {FOLDER}",
    ]


def test_retention_records_where_a_log_begins_before_anything_goes(steps: Steps) -> None:
    engine, _ = open_with(
        Machine(), internal_segment_bytes=700, retention_bytes=1, index_interval_bytes=1 << 20
    )
    steps.begin()
    engine.apply_retention("orders")
    segment = [f"unlink {FOLDER}/N.index", f"unlink {FOLDER}/N.timeindex", f"unlink {FOLDER}/N.log"]
    assert [step for step in steps.found if "epoch" not in step] == [
        "rename /log/log-start-offset-checkpoint.tmp",
        "sync_directory /log",
        f"sync_directory {FOLDER}",  # the name of what stays
        *segment * 3,
        f"sync_directory {FOLDER}",
    ]


def test_retention_has_the_name_of_what_stays_on_the_disk_also_without_leader_epochs(
    steps: Steps,
) -> None:
    """Otherwise it is synced with theirs."""
    engine, filesystem = open_with(Machine(), internal_segment_bytes=700, retention_bytes=1)
    write(engine, count=9)
    filesystem.write_file(f"{FOLDER}/leader-epoch-checkpoint", b"damaged")
    steps.begin()
    engine.apply_retention("orders")
    first_gone = next(at for at, step in enumerate(steps.found) if step.startswith("unlink"))
    assert steps.found[first_gone - 1] == f"sync_directory {FOLDER}"


def test_older_versions_are_kept_out_before_anything_is_of_the_new_format(steps: Steps) -> None:
    machine = Machine()
    engine, filesystem = open_with(machine)
    engine.close_now()
    filesystem.write_file("/log/streamlog.properties", b"format=1\n")
    steps.begin()
    machine.open()
    assert steps.found[:4] == [
        "rename /log/streamlog.properties.tmp",
        "sync_directory /log",
        "unlink /log/.kafka_cleanshutdown",
        "sync_directory /log",
    ]


def test_a_close_says_that_it_was_clean_when_all_else_is_on_the_disk(steps: Steps) -> None:
    engine, _ = open_with(Machine(), internal_segment_bytes=700)
    write(engine, count=3)
    steps.begin(syncs=True)
    engine.close_now()
    assert steps.found == [
        *["fdatasync"] * 6,  # what was rolled, with its indexes, and what follows
        f"sync_directory {FOLDER}",
        *["fdatasync"] * 4,  # the indexes of the last segments
        "fsync",
        "rename /log/recovery-point-offset-checkpoint.tmp",
        "fsync",
        "rename /log/replication-offset-checkpoint.tmp",
        "sync_directory /log",
        "fsync",  # of the clean mark
        "sync_directory /log",
    ]


def test_a_poisoned_partition_has_new_files_before_it_counts_as_synced(steps: Steps) -> None:
    engine, filesystem = open_with(Machine(), internal_segment_bytes=700)
    write(engine, count=1)

    def refuse(operation: str, _: str | int) -> None:
        if operation == "fdatasync":
            raise OSError(5, "Input/output error")

    filesystem.before = refuse
    with pytest.raises(PartitionPoisonedError):
        engine.partition("orders", 0).sync(13)
    filesystem.before = None
    steps.begin(syncs=True)
    engine.recover_partition(*ORDERS)
    assert steps.found == [
        *["fsync"] * 4,  # of the copies
        "fdatasync",  # of the metadata log, which has the new leader epoch
        *(f"rename {FOLDER}/N{suffix}.cleaned" for suffix in (".log", ".index", ".timeindex")),
        f"rename {FOLDER}/N.log.cleaned",
        f"sync_directory {FOLDER}",
        "sync_directory /log",
        "fsync",
        f"rename {FOLDER}/leader-epoch-checkpoint.tmp",
        f"sync_directory {FOLDER}",
    ]


def test_what_a_crash_tore_is_kept_before_it_is_cut(steps: Steps) -> None:
    machine = Machine()
    engine, filesystem = open_with(machine, internal_segment_bytes=700)
    write(engine, count=4)
    filesystem.kill()
    power = MemoryFilesystem(filesystem.image(), boot=2)
    name = sorted(name for name in power.listdir(FOLDER) if name.endswith(".log"))[-2]
    descriptor = power.open(f"{FOLDER}/{name}", 2)
    power.write_all(descriptor, b"\xff" * 20, power.size(descriptor) - 100)
    steps.begin(syncs=True)
    machine.after_power_cut(power)
    begin = steps.found.index(f"rename {FOLDER}/N.log")
    assert steps.found[begin : begin + 10] == [
        f"rename {FOLDER}/N.log",  # a later segment
        f"unlink {FOLDER}/N.index",
        f"unlink {FOLDER}/N.timeindex",
        f"sync_directory {FOLDER}",
        "fsync",  # of the tail's copy, and then its name
        f"sync_directory {FOLDER}",
        *["fdatasync"] * 2,  # of what was cut, and of what is left
        f"sync_directory {FOLDER}",
        "sync_directory /log",
    ]


def test_a_topic_that_is_deleted_loses_its_name_first(steps: Steps) -> None:
    engine, _ = open_with(Machine())
    steps.begin(syncs=True)
    engine.delete_topic("orders")
    first_gone = next(at for at, step in enumerate(steps.found) if step.startswith("unlink"))
    assert steps.found[:first_gone] == [
        "fdatasync",  # of the metadata log
        f"rename {FOLDER}",
        "sync_directory /log",
    ]


def test_a_backup_takes_the_place_of_the_former_when_names_do_not_change_places(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, filesystem = open_with(Machine())
    monkeypatch.setattr(MemoryFilesystem, "exchange", lambda *_: False)
    back_up(engine, "/backup")
    steps.begin()
    back_up(engine, "/backup")
    placing = ["rename /backup", "rename /backup.new", "sync_directory /"]
    at = steps.found.index("rename /backup")
    assert steps.found[at - 1].startswith("sync_directory /backup.new")
    assert steps.found[at : at + 3] == placing
    assert all(step.startswith("unlink /backup.old/") for step in steps.found[at + 3 : at + 6])

    def fail(operation: str, target: str | int) -> None:
        if (operation, target) == ("rename", "/backup.new"):
            raise OSError(5, "Input/output error")

    filesystem.before = fail
    with pytest.raises(InputOutputError):
        back_up(engine, "/backup")
    filesystem.before = None
    assert filesystem.exists("/backup/meta.properties")  # again

    filesystem.rename("/backup", "/backup.old")  # as a process leaves it that dies between
    steps.found.clear()
    back_up(engine, "/backup")
    assert steps.found[:2] == ["rename /backup.old", "sync_directory /"]
