"""The sweep: a program is killed, or refused something, at one call after the other.

After each the directory opens, what was promised is there, and nothing is damaged.
"""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import streamlog
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.names import CLEAN
from streamlog.storage.verification import verify_directory
from tests.faults.program import backup_of
from tests.machine.shim import WRITE_SIDE
from tests.multiprocess.crowd import reports_of
from tests.multiprocess.ledger import BrokenPromiseError, Ledger
from tests.multiprocess.nursery import Nursery
from tests.multiprocess.values import ENDED, PLACES, Report


class Strike(NamedTuple):
    """What happens at a call: the process is killed before it, or in the middle of a write; an
    error is returned.
    """

    name: str
    action: str
    error: int = 0
    calls: frozenset[str] = WRITE_SIDE


STRIKES = [
    Strike("kill", "kill"),
    Strike("torn write", "tear", calls=frozenset(["pwrite"])),
    *(Strike(name, "fail", getattr(errno, name)) for name in "EIO ENOSPC EDQUOT EMFILE".split()),
]


class Sweep:
    """Runs the program below `folder`, again and again. `plant` names a bug of the program's."""

    def __init__(self, nursery: Nursery, folder: Path, *, plant: str = "") -> None:
        self._nursery = nursery
        self._folder = folder
        self._plant = plant
        self._runs = 0

    def count(self, calls: Iterable[str]) -> int:
        """How many of these calls the program makes when all goes well."""
        return self._run(Strike("nothing", "count", calls=frozenset(calls)), 0)

    def strike(self, what: Strike, places: Iterable[int]) -> None:
        """Strike each of these calls. Raises `BrokenPromiseError` with all that was broken."""
        broken = []
        for at in places:
            try:
                self._run(what, at)
            except (AssertionError, streamlog.StreamlogError, OSError) as error:
                broken.append(f"{what.name} at call {at}: {type(error).__name__}: {error}")
        if broken:
            raise BrokenPromiseError("\n".join(broken))

    def _run(self, what: Strike, at: int) -> int:
        self._runs += 1
        path = self._folder / str(self._runs)
        child = self._nursery.start(
            "run_program",
            path=str(path),
            calls=sorted(what.calls),
            action=what.action,
            error=what.error,
            at=at,
            plant=self._plant,
        )
        said = b"".join(iter(child.read, b""))
        status = child.wait()
        child.close()
        ledger, end = enter(said)
        if end is None and status != -signal.SIGKILL:
            raise BrokenPromiseError(f"the program ended with {status}")
        backup = Path(backup_of(str(path)))
        check_backup(backup)
        check_directory(path, ledger)
        check_backup(backup)
        for each in (path, backup, backup.with_name(f"{backup.name}.new")):
            shutil.rmtree(each, ignore_errors=True)
        return 0 if end is None else end.count


def enter(said: bytes) -> tuple[Ledger, Report | None]:
    """What a program said, in a ledger; its last report, if it got to that."""
    ledger, end = Ledger(), None
    for report in reports_of(1, said) if said else ():
        if report.kind == ENDED:
            end = report
        else:
            ledger.take(1, report)
    return ledger, end


def check_backup(path: Path) -> None:
    """A backup that is there is whole: closed cleanly, and nothing is wrong with it."""
    if not path.exists():
        return
    findings = [str(found) for found in verify_directory(OS_FILESYSTEM, str(path))]
    if findings or not (path / CLEAN).exists():
        raise BrokenPromiseError(f"the backup is not whole: {'; '.join(findings)}")
    with streamlog.open(path, read_only=True) as log:
        assert all(sum(1 for _ in log.read(topic)) >= 0 for topic in log.topics())


def check_directory(path: Path, ledger: Ledger) -> None:
    """Hold a directory against the ledger; it goes on, closes, and nothing in it is damaged."""
    with streamlog.open(path) as log:
        for topic in sorted({place.topic for place in PLACES} - set(log.topics())):
            assert not any(ledger.acknowledged.values()), f"{topic} is gone"
            log.create_topic(topic, partitions=3)
        ledger.check(log, whole=True)
        with log.producer(acks="all") as producer:
            producer.send("flights", b"x", partition=2).result()
    findings = [
        str(found)
        for found in verify_directory(OS_FILESYSTEM, str(path))
        if found.severity == "error"
    ]
    if findings:
        raise BrokenPromiseError("; ".join(findings))
