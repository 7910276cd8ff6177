"""Backups that were made of the log, and whether one of them is where it was promised to be."""

from __future__ import annotations

import os
from typing import NamedTuple

from streamlog.broker.directory import find_place
from streamlog.broker.engine import Engine, open_for_writing
from streamlog.broker.reading import open_for_reading
from streamlog.clock import Clock
from streamlog.config import OpenConfig
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.verification import verify_directory
from streamlog.testing.clock import ManualClock

PLACE = "/backup"

#: By topic: its partitions, each with its values.
Content = dict[str, list[list[bytes]]]


class BrokenBackupError(AssertionError):
    """What is in the place of a backup is none of those that may be there."""


class Backups(NamedTuple):
    """What the backups held, in their order: those that were begun; `done` of them returned.

    `seen` were there after a crash, be it that they are lost with the power. `is_cut`: it went.
    """

    contents: tuple[Content, ...] = ()
    done: int = 0
    seen: int = 0
    is_cut: bool = False

    def begin(self, content: Content) -> Backups:
        return self._replace(contents=(*self.contents, content))

    def finish(self) -> Backups:
        return self._replace(done=len(self.contents), seen=len(self.contents))

    def without_power(self) -> Backups:
        return self._replace(seen=self.done, is_cut=True)

    def check(self, filesystem: Filesystem) -> Backups:
        """Those that are left after a crash: the one that is there is the last. Changes nothing."""
        if not filesystem.exists(PLACE):
            if self.seen:
                raise BrokenBackupError(f"{self.seen} backups were made, and there is none")
            return Backups()
        engine = open_for_reading(
            find_place(filesystem, PLACE, create=False, read_only=True, mode=0o600),
            config=OpenConfig.from_settings({}),
            filesystem=filesystem,
            clock=ManualClock(),
        )
        found = content_of(engine)
        opening = engine._opening
        os.close(opening.shared_descriptor)  # the operating system's, with slots of its own
        opening.shared_descriptor = -1
        engine.close_now()
        for number in range(len(self.contents), max(self.seen, 1) - 1, -1):
            if self.contents[number - 1] == found:
                done = number if self.is_cut else self.done
                return Backups(self.contents[:number], done, number)
        raise BrokenBackupError(
            f"the backup holds {_sizes(found)}, and not what one of the last "
            f"{len(self.contents) - self.seen + 1} of {[_sizes(one) for one in self.contents]} did"
        )


def content_of(engine: Engine) -> Content:
    from tests.crash.ledger import read_all

    return {
        name: [read_all(engine.partition(name, partition)) for partition in range(topic.partitions)]
        for name, topic in engine.topics().items()
    }


def check_opening(filesystem: Filesystem, clock: Clock) -> None:
    """A backup that is there is opened without a recovery, and has no fault."""
    if not filesystem.exists(PLACE):
        return
    findings = [str(finding) for finding in verify_directory(filesystem, PLACE)]
    if findings:
        raise BrokenBackupError("; ".join(findings))
    engine = open_for_writing(
        find_place(filesystem, PLACE, create=False, read_only=False, mode=0o600),
        mode=0o600,
        config=OpenConfig.from_settings({}),
        filesystem=filesystem,
        clock=clock,
    )
    report = engine.report
    assert report is not None
    if not report.clean or report.lost or report.problems:
        raise BrokenBackupError(f"the backup is opened with {report}")
    engine.close_now()


def _sizes(content: Content) -> dict[str, list[int]]:
    return {name: [len(values) for values in each] for name, each in content.items()}
