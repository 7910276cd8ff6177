"""Children that are listened to at the same time, and what they say entered into a ledger."""

from __future__ import annotations

import json
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from tests.multiprocess.ledger import BrokenPromiseError, Ledger
from tests.multiprocess.nursery import PATIENCE_S, TRACEBACK, Child, Nursery
from tests.multiprocess.values import ENDED, SENDING, Report, split_reports


class Crowd:
    """The living children by number. `may_die`: they may end by themselves."""

    def __init__(self, nursery: Nursery, ledger: Ledger, *, may_die: bool = False) -> None:
        self._nursery = nursery
        self._ledger = ledger
        self._may_die = may_die
        self._numbers = iter(range(1, 1 << 30))
        self.living: dict[int, Child] = {}
        self.roles: dict[int, str] = {}
        self.kills = 0

    def next_number(self) -> int:
        """The number that the next child goes by."""
        return next(self._numbers)

    def start(self, number: int, role: str, **arguments: Any) -> Child:
        child = self.living[number] = self._nursery.start(role, **arguments)
        self.roles[number] = role
        return child

    def count(self, role: str) -> int:
        """How many of a role are alive."""
        return sum(self.roles[number] == role for number in self.living)

    # ---------------------------------------------------------------- deaths

    def kill(self, numbers: list[int], meanwhile: Callable[[], None] | None = None) -> None:
        """Kill them with -9, all at once, and take what they had said.

        `meanwhile` happens while they may still be in the middle of a system call.
        """
        for number in numbers:
            self.living[number].signal(signal.SIGKILL)
        if meanwhile is not None:
            meanwhile()
        for number in numbers:
            self.hear_out(number)
            self.kills += 1

    def pull_the_disk_away(self, pull: Callable[[], None], patience_s: float) -> None:
        """Let all of them live on for a moment after `pull`; what they say then counts no more.

        They stand still while it happens, and everything that they said before is taken.
        """
        for child in self.living.values():
            child.signal(signal.SIGSTOP)
            child.wait_until_stopped()
        for number, child in self.living.items():
            while select.select([child.pipe], [], [], 0)[0] and (data := child.read()):
                self._enter(number, data)
        pull()
        for child in self.living.values():
            child.signal(signal.SIGCONT)
        select.select([], [], [], patience_s)
        for child in self.living.values():
            child.signal(signal.SIGKILL)
        while self.living:
            number, child = self.living.popitem()
            self.kills += 1
            _check_last_words(number, b"".join(iter(child.read, b"")), child.wait())
            child.close()

    def end(self, number: int) -> None:
        """Have one of them end as a program should."""
        self.living[number].signal(signal.SIGTERM)
        self.hear_out(number, must_end=not self._may_die)

    def hear_out(self, number: int, *, must_end: bool = False) -> None:
        """Take what it said before it died; it died of what was meant to kill it."""
        child = self.living.pop(number)
        ended = False
        while data := child.read():
            ended = any(report.kind == ENDED for report in self._enter(number, data)) or ended
        status = child.wait()
        child.close()
        if status != -signal.SIGKILL and not ended:
            raise BrokenPromiseError(f"process {number} ended with {status}")
        if must_end and not ended:
            raise BrokenPromiseError(f"process {number} did not end when asked")

    def abandon(self) -> None:
        """Kill whoever is left, whatever they had to say."""
        while self.living:
            with suppress(ProcessLookupError):  # it had ended, and its end was seen
                self.living.popitem()[1].kill()

    # ---------------------------------------------------------------- listening

    def listen(self, acknowledgements: int, until: Callable[[], bool] = lambda: True) -> None:
        """Take reports until so many more records were acknowledged; at least one announced.

        And until `until` is true, which may be because of what else is reported.
        Ends early when somebody died: the caller replaces it and listens on.
        """
        target = self._ledger.records_acknowledged + acknowledgements
        announced = False
        while not announced or self._ledger.records_acknowledged < target or not until():
            for number in self._who_speaks():
                spoken = self._take(number)
                if spoken is None:
                    return
                announced = spoken or announced

    def _who_speaks(self) -> Iterator[int]:
        numbers = {child.pipe: number for number, child in self.living.items()}
        waiting = select.poll()
        for pipe in numbers:
            waiting.register(pipe)
        ready = waiting.poll(PATIENCE_S * 1000)
        if not ready:
            raise BrokenPromiseError("nobody gets on")
        for pipe, _ in ready:
            yield numbers[pipe]

    def _take(self, number: int) -> bool | None:
        """One reading of one pipe; whether a sending was announced. None: it died."""
        data = self.living[number].read()
        if not data:
            assert self._may_die, f"process {number} died by itself"
            self.hear_out(number)
            return None
        return any(report.kind == SENDING for report in self._enter(number, data))

    def _enter(self, number: int, data: bytes) -> list[Report]:
        reports = reports_of(number, data)
        for report in reports:
            self._ledger.take(number, report)
        return reports


def _check_last_words(number: int, said: bytes, status: int) -> None:
    """Whose disk is gone ends by a typed error, if it gets to its end.

    Or by SIGBUS: a store to a mapped page of a file system that is gone; nobody can catch it.
    """
    if status not in (-signal.SIGKILL, -signal.SIGBUS, 1):
        raise BrokenPromiseError(f"process {number} ended with {status} when its disk was gone")
    words = said[said.find(TRACEBACK) :].strip() if TRACEBACK in said else b""
    if words.endswith(b"}"):  # it was not killed while it said so
        traceback = json.loads(words)["traceback"].splitlines()
        if not any(line.startswith("streamlog.errors.") for line in traceback[-3:]):
            raise BrokenPromiseError("\n".join(traceback))


def reports_of(number: int, data: bytes) -> list[Report]:
    """A child's reports. It says something else when an exception ended it."""
    try:
        return list(split_reports(data))
    except ValueError as error:
        raise BrokenPromiseError(f"process {number}: {data.decode(errors='replace')}") from error
