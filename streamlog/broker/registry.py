"""One engine a directory and process: the second `open` shares the first one's.

Two descriptors of one lock file in one process would not know of each other, and two handles
on one partition would not share a mutex. Directories are told apart by device and inode.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from streamlog.broker.directory import (
    Place,
    find_place,
    is_of_a_broker,
    translate_os_error,
)
from streamlog.broker.fork import on_fork
from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clock import Clock
    from streamlog.config import OpenConfig
    from streamlog.storage.filesystem import Filesystem


class _Key(NamedTuple):
    filesystem: int
    device: int
    inode: int
    read_only: bool


class _Shared:
    """An engine and how often it was opened; None while it is being opened."""

    __slots__ = ("count", "engine")

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.count = 0


class _Registry:
    """The engines of this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.shared: dict[_Key, _Shared] = {}
        self.forks_are_watched = False

    def engines(self) -> list[Engine]:
        """All that are open."""
        return [one.engine for one in self.shared.values() if one.engine is not None]


_registry = _Registry()


def open_engine(
    path: str,
    *,
    create: bool,
    read_only: bool | None,
    mode: int,
    config: OpenConfig,
    filesystem: Filesystem,
    clock: Clock,
) -> Engine:
    """This process's engine on `path`; one more that has to be released. Typed errors only.

    `read_only` None is for the directory to decide: a broker's is only read.
    """
    with _registry.lock:
        try:
            place = find_place(
                filesystem, path, create=create, read_only=bool(read_only), mode=mode
            )
            if read_only is None:
                read_only = is_of_a_broker(filesystem, place.path)
            identity = filesystem.identity(place.path)
        except OSError as error:
            if isinstance(error, StreamlogError):
                raise
            raise translate_os_error(error, path) from error
        key = _Key(id(filesystem), identity.device, identity.inode, read_only)
        shared = _registry.shared.get(key)
        if shared is None:
            _watch_forks()
            shared = _registry.shared[key] = _Shared()  # what can fail comes before the engine
        try:
            if shared.engine is None:
                shared.engine = _new_engine(place, read_only, mode, config, filesystem, clock)
        except BaseException:
            del _registry.shared[key]
            raise
        shared.count += 1
        return shared.engine


def _new_engine(
    place: Place,
    read_only: bool,
    mode: int,
    config: OpenConfig,
    filesystem: Filesystem,
    clock: Clock,
) -> Engine:
    if read_only:
        from streamlog.broker.reading import open_for_reading

        return open_for_reading(place, config=config, filesystem=filesystem, clock=clock)
    from streamlog.broker.engine import open_for_writing

    return open_for_writing(place, mode=mode, config=config, filesystem=filesystem, clock=clock)


def release(engine: Engine) -> None:
    """Give an engine back; the last release closes it. A child's copy is only forgotten."""
    if engine.is_foreign:
        return
    with _registry.lock:
        for key, shared in _registry.shared.items():
            if shared.engine is engine:
                shared.count -= 1
                if shared.count == 0:
                    del _registry.shared[key]
                    engine.close_now()
                return


def _watch_forks() -> None:
    if not _registry.forks_are_watched:
        _registry.forks_are_watched = True
        on_fork(_forget_parents_engines)


def _forget_parents_engines() -> None:
    """In a child: another thread may have held the lock, so a new registry takes its place."""
    global _registry
    former, _registry = _registry, _Registry()
    _registry.forks_are_watched = True
    for engine in former.engines():
        engine.forget_parent()
