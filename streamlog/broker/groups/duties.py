"""Which partitions' groups this process coordinates for members in the network, and where.

Who holds the coordinator's byte of a partition is the only one; the kernel frees it when that
process dies, which is a coordinator's failover. Its address stands in `streamlog.members`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlog.broker.groups.addresses import Address, decode_address, encode_address
from streamlog.broker.groups.member_slots import MemberSlots
from streamlog.storage.shared import COORDINATOR_LOCKS

if TYPE_CHECKING:
    from streamlog.broker.opening import Opening


class Duties:
    """The coordinator's bytes that this process holds. Thread-safe."""

    def __init__(self, opening: Opening, slots: Callable[[], MemberSlots]) -> None:
        self._opening = opening
        self._slots = slots
        self._lock = threading.Lock()
        self._addresses: list[Address] = []
        self._held: set[int] = set()

    @property
    def has_any(self) -> bool:
        """Whether anybody in the network depends on this process."""
        return bool(self._held)

    def addresses(self) -> list[Address]:
        """Where this process listens."""
        with self._lock:
            return list(self._addresses)

    def begin(self, address: Address) -> None:
        """This process listens there, too."""
        with self._lock:
            self._addresses.append(address)

    def take(self, partition: int, take_over: Callable[[], None]) -> bool:
        """Hold the byte of a partition, if nobody else does; `take_over` when it is new here."""
        with self._lock:
            if partition in self._held:
                return True
            if not self._addresses or not self._opening.filesystem.lock(
                self._opening.locks_descriptor, COORDINATOR_LOCKS + partition, 1, exclusive=True
            ):
                return False
            try:
                self._slots().set_address(partition, encode_address(self._addresses[0]))
                take_over()
            except BaseException:
                self._unlock(partition)
                raise
            self._held.add(partition)
            return True

    def address(self, partition: int) -> Address | None:
        """Where the coordinator of a partition listens; None when nobody is known to."""
        with self._lock:
            is_held = partition in self._held or (
                self._opening.filesystem.lock_holder(
                    self._opening.locks_descriptor, COORDINATOR_LOCKS + partition, 1, exclusive=True
                )
                is not None
            )
        return decode_address(self._slots().address(partition)) if is_held else None

    def end(self, address: Address) -> list[int]:
        """Nobody listens there any more; the partitions that are to be given up."""
        with self._lock:
            self._addresses.remove(address)
            if not self._addresses:
                return sorted(self._held)
            for partition in self._held:
                self._slots().set_address(partition, encode_address(self._addresses[0]))
            return []

    def release(self, partition: int) -> None:
        """Let another process have it."""
        with self._lock:
            self._held.discard(partition)
            self._unlock(partition)

    def _unlock(self, partition: int) -> None:
        self._slots().set_address(partition, 0)
        self._opening.filesystem.unlock(
            self._opening.locks_descriptor, COORDINATOR_LOCKS + partition, 1
        )
