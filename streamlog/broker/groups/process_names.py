"""By what a process is known to others as long as it has the directory open.

The client host of its members is `process:NUMBER:PID`. The number is that of its liveness byte
in `streamlog.locks`, which the kernel frees when it dies; it is drawn at random, so that nobody
has it afterwards. The process id is only for waiting, since another process may get it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from streamlog.coordinator import PROCESS_HOST
from streamlog.storage import file_systems
from streamlog.storage.names import STREAMLOG_LOCKS
from streamlog.storage.shared import LIVENESS_LOCKS, LIVENESS_NUMBERS

if TYPE_CHECKING:
    from streamlog.broker.opening import Opening


class ProcessName(NamedTuple):
    """A process that has, or had, the directory open."""

    number: int
    pid: int

    @property
    def client_host(self) -> str:
        return f"{PROCESS_HOST}{self.number:x}:{self.pid}"

    @classmethod
    def parse(cls, client_host: str) -> ProcessName | None:
        """The process that a client host names; None when it names none."""
        number, _, pid = client_host.removeprefix(PROCESS_HOST).partition(":")
        try:
            found = cls(int(number, 16), int(pid))
        except ValueError:
            return None
        return found if 0 <= found.number < LIVENESS_NUMBERS and found.pid > 0 else None


def own_name(opening: Opening) -> ProcessName:
    """This process's."""
    return ProcessName(opening.liveness, os.getpid())


def is_alive(opening: Opening, number: int) -> bool:
    """Whether the process of that liveness number still has the directory open."""
    if number == opening.liveness:
        return True
    if opening.read_only:
        return _is_alive_elsewhere(opening, number)
    return _is_held(opening, opening.locks_descriptor, number)


def _is_alive_elsewhere(opening: Opening, number: int) -> bool:
    """The same for who only reads, and holds no file of locks. True where it cannot be told."""
    if file_systems.is_network(opening.place.kind):
        return True  # another machine's locks may not be seen here
    path = f"{opening.place.path}/{STREAMLOG_LOCKS}"
    try:
        locks = opening.filesystem.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return _is_held(opening, locks, number)
    finally:
        opening.filesystem.close(locks)


def _is_held(opening: Opening, locks: int, number: int) -> bool:
    position = LIVENESS_LOCKS + number
    return opening.filesystem.lock_holder(locks, position, 1, exclusive=True) is not None
