"""A machine in memory, on which processes come, go and die."""

from __future__ import annotations

from typing import Any

from streamlog.broker.directory import find_place
from streamlog.broker.engine import Engine, open_for_writing
from streamlog.config import OpenConfig
from streamlog.testing.clock import ManualClock
from streamlog.testing.memory_filesystem import MemoryFilesystem

NOW = 2_000  # when `append` appends


class Machine:
    """A machine on which processes come and go; none of them does any housekeeping by itself."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.clock.advance(10)
        self._first: MemoryFilesystem | None = None

    def open(self, **settings: Any) -> tuple[Engine, MemoryFilesystem]:
        if self._first is None:
            filesystem = self._first = MemoryFilesystem()
        else:
            filesystem = self._first.another_process()
        place = find_place(filesystem, "/log", create=True, read_only=False, mode=0o600)
        config = OpenConfig.from_settings({"housekeeping": False, **settings})
        engine = open_for_writing(
            place, mode=0o600, config=config, filesystem=filesystem, clock=self.clock
        )
        return engine, filesystem

    def after_power_cut(self, filesystem: MemoryFilesystem) -> tuple[Engine, MemoryFilesystem]:
        """Go on with what the machine found on its disk when it was started again."""
        self._first = filesystem
        return self.open()


class DeathError(BaseException):
    """A process was killed: nothing catches that."""


def die_at_step(engine: Engine, filesystem: MemoryFilesystem, wanted: int) -> list[str]:
    """Let the process die before its `wanted`-th step from now on: a file call or a publication.

    What it does is listed. Once it is dead nothing that it still tries has an effect.
    """
    steps: list[str] = []
    slots = engine._opening.shared
    genuine = slots.publish_state

    def before(operation: str, target: str | int) -> None:
        steps.append(f"{operation} {target}")
        if len(steps) >= wanted:
            raise DeathError

    def publish_state(*arguments: Any) -> None:
        before("publish", 0)
        genuine(*arguments)

    filesystem.before = before
    slots.publish_state = publish_state  # type: ignore[method-assign]
    return steps
