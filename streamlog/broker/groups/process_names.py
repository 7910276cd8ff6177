"""By what a process is known to others as long as it has the directory open.

The client host of its members is `process:NUMBER:PID`. The number is that of its liveness byte
in `streamlog.locks`, which the kernel frees when it dies; it is drawn at random, so that nobody
has it afterwards. The process id is only for waiting, since another process may get it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from streamlog.coordinator import PROCESS_HOST
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
    position = LIVENESS_LOCKS + number
    locks = opening.locks_descriptor
    return opening.filesystem.lock_holder(locks, position, 1, exclusive=True) is not None
