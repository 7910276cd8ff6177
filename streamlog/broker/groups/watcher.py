"""The thread for what is due, and for processes that die.

It sleeps until the first deadline of a coordinator, or until a process dies that it waits for: of
those that have members with a coordinator, in the order of their numbers, each waits for the one
behind it, so that of several that die none is waited for by nobody. Where the kernel cannot say
that a process died (`pidfd_open`), the thread looks at the liveness bytes instead.
"""

from __future__ import annotations

import os
import select
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING

from streamlog.broker.groups.process_names import ProcessName, is_alive, own_name
from streamlog.coordinator import MembersDied
from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.broker.groups.groups import Groups
    from streamlog.broker.groups.partition_coordinator import PartitionCoordinator

#: How often the liveness byte is looked at of a process whose end nothing tells.
_LOOK_MS = 50
#: And of one that is waited for: it may have closed the directory, and live on.
_SLOW_LOOK_MS = 1_000
#: How often a coordinator of members in the network hears what other processes decided.
_CATCH_UP_MS = 500
#: How long after a failure it is tried again.
_RETRY_MS = 1_000


class Watcher:
    """Begins at the first deadline, member in a process or duty."""

    def __init__(self, groups: Groups, engine: Engine) -> None:
        self._groups = groups
        self._engine = engine
        self._opening = engine._opening
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._reader: FileIO | None = None  # of the pipe that wakes the thread
        self._writer: FileIO | None = None
        self._is_closed = False
        self._abandoned: deque[tuple[str, str]] = deque()
        self._waited_for: dict[int, int] = {}  # process descriptors, by number
        self._unheard: set[int] = set()  # numbers of processes whose end has to be looked for

    # ---------------------------------------------------------------- from other threads

    def wake(self) -> None:
        """There may be another deadline, or another process. Does not wait."""
        if self._engine.read_only:
            return
        with self._lock:
            if self._is_closed:
                return
            if self._thread is None:
                reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                self._reader, self._writer = FileIO(reader, "r"), FileIO(writer, "w")
                self._thread = threading.Thread(
                    target=self._run, name="streamlog-groups", daemon=True
                )
                self._thread.start()
            self._nudge()

    def bury_soon(self, group_id: str, member_id: str) -> None:
        """Have the thread tell that a member of this process is gone. Takes no lock."""
        self._abandoned.append((group_id, member_id))
        self._nudge()

    def _nudge(self) -> None:
        writer = self._writer
        if writer is not None:
            with suppress(ValueError):  # it is closed
                writer.write(b"\0")  # or it is full: the thread wakes

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._is_closed = True
            self._nudge()
        if self._thread is not None:
            self._thread.join()
        self._close_descriptors()

    def forget_parent(self) -> None:
        """In a forked child, where the thread is not: close the copies of its descriptors."""
        self._is_closed = True
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for pipe in (self._reader, self._writer):
            if pipe is not None:
                pipe.close()
        for descriptor in self._waited_for.values():
            os.close(descriptor)
        self._waited_for.clear()

    # ---------------------------------------------------------------- who is dead

    def bury_the_dead(self, coordinator: PartitionCoordinator) -> None:
        """Tell a coordinator of the members whose processes are gone.

        Who only reads leaves them out, and looks each time: nobody tells it that one died.
        """
        tell = coordinator.leave_out if self._engine.read_only else coordinator.tell
        coordinator.settle()
        for host, events in list(coordinator.members.items()):
            name = ProcessName.parse(host)
            if name is not None and not is_alive(self._opening, name.number):
                tell(events)

    def successors(self, coordinators: Iterable[PartitionCoordinator]) -> set[ProcessName]:
        """The processes that this one waits for."""
        own = own_name(self._opening)
        found = set()
        for coordinator in coordinators:
            names = {ProcessName.parse(host) for host in list(coordinator.members)}
            others = sorted(name for name in names if name and name.number != own.number)
            if others:
                found.add(others[bisect_right(others, own) % len(others)])
        return found

    # ---------------------------------------------------------------- the thread

    def _run(self) -> None:
        assert self._reader is not None
        reader = self._reader.fileno()
        retry = False
        while not self._is_closed:
            coordinators = self._groups.loaded()
            self._wait_for(self.successors(coordinators))
            waits = select.poll()
            for descriptor in (reader, *self._waited_for.values()):
                waits.register(descriptor, select.POLLIN)
            woken = waits.poll(_RETRY_MS if retry else self._timeout_ms(coordinators))
            self._reader.read(1 << 16)
            if self._is_closed:
                return
            ended = {descriptor for descriptor, _ in woken} - {reader}
            look = bool(ended or self._unheard) or not woken
            retry = not self._look_after(coordinators, look=look)
            self._let_go_of(ended)

    def _look_after(self, coordinators: list[PartitionCoordinator], *, look: bool) -> bool:
        """Do what is due; False when something failed, and is to be tried again later."""
        succeeded = self._bury_abandoned()
        now_ms = self._now_ms()
        for coordinator in coordinators:
            deadline_ms = coordinator.deadline_ms
            is_due = deadline_ms is not None and deadline_ms <= now_ms
            try:
                if look:
                    self.bury_the_dead(coordinator)
                elif is_due or self._groups.duties.has_any:
                    coordinator.settle()
            except (StreamlogError, OSError) as error:
                succeeded = self._has_to_wait(coordinator.log.directory, error)
        return succeeded

    def _bury_abandoned(self) -> bool:
        while self._abandoned:
            group_id, member_id = self._abandoned[0]
            try:
                died = MembersDied(group_id, (member_id,))
                self._groups.coordinator_of(group_id).tell([died])
            except (StreamlogError, OSError) as error:
                return self._has_to_wait(group_id, error)
            self._abandoned.popleft()
        return True

    def _has_to_wait(self, what: str, error: Exception) -> bool:
        """Say so, unless the engine is being closed; False: it is to be tried again."""
        if not self._is_closed:
            import logging

            logging.getLogger("streamlog").warning("groups of %s have to wait: %s", what, error)
        return False

    def _timeout_ms(self, coordinators: list[PartitionCoordinator]) -> int | None:
        """Until something is to be done; None for what only others know."""
        now_ms = self._now_ms()
        due = [each.deadline_ms for each in coordinators if each.deadline_ms is not None]
        waits = [max(deadline - now_ms, 0) for deadline in due]
        if self._unheard:
            waits.append(_LOOK_MS)
        elif self._waited_for:
            waits.append(_SLOW_LOOK_MS)
        if self._groups.duties.has_any:
            waits.append(_CATCH_UP_MS)
        return min(waits, default=None)

    def _wait_for(self, names: set[ProcessName]) -> None:
        """Hold a descriptor of each of these processes, as far as the kernel gives one."""
        wanted = {name.number: name for name in names}
        for number in self._waited_for.keys() - wanted.keys():
            os.close(self._waited_for.pop(number))
        self._unheard &= wanted.keys()
        for number in wanted.keys() - self._waited_for.keys() - self._unheard:
            try:
                self._waited_for[number] = os.pidfd_open(wanted[number].pid)
            except (OSError, AttributeError):
                self._unheard.add(number)

    def _let_go_of(self, ended: set[int]) -> None:
        """A process has ended by the kernel's word. If it was not the one, it is looked for."""
        for number, descriptor in list(self._waited_for.items()):
            if descriptor in ended:
                os.close(self._waited_for.pop(number))
                self._unheard.add(number)

    def _now_ms(self) -> int:
        return int(self._engine.clock.monotonic() * 1000)
