"""Who listens on the directory: each has a number of its own, from 0, and its address known.

A listener holds its number's byte of `streamlog.locks`, which the kernel frees when its process
dies; its address stands in `streamlog.members`. Clients take it for a node: they keep one address
for each node's id, so that two listeners cannot share one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlog.broker.groups.addresses import Address, decode_address, encode_address
from streamlog.broker.groups.member_slots import MOST_LISTENERS, MemberSlots
from streamlog.errors import UsageError
from streamlog.storage.shared import LISTENER_LOCKS

if TYPE_CHECKING:
    from streamlog.broker.opening import Opening


class Listeners:
    """Those of all processes; the numbers of this one's. Thread-safe."""

    def __init__(self, opening: Opening, slots: Callable[[], MemberSlots]) -> None:
        self._opening = opening
        self._slots = slots
        self._lock = threading.Lock()
        self._own: dict[int, Address] = {}

    def begin(self, address: Address) -> int:
        """This process listens there, too: the first number that nobody has. `UsageError`."""
        slots = self._slots()
        with self._lock:
            for number in range(MOST_LISTENERS):
                if number not in self._own and self._opening.filesystem.lock(
                    self._opening.locks_descriptor, LISTENER_LOCKS + number, 1, exclusive=True
                ):
                    slots.set_listener(number, encode_address(address))
                    self._own[number] = address
                    return number
        raise UsageError(f"{MOST_LISTENERS} listeners on one directory are as many as there may be")

    def end(self, address: Address) -> None:
        """Nobody listens there any more."""
        with self._lock:
            number = next(number for number, own in self._own.items() if own == address)
            self._slots().set_listener(number, 0)
            del self._own[number]
            self._opening.filesystem.unlock(
                self._opening.locks_descriptor, LISTENER_LOCKS + number, 1
            )

    def known(self) -> dict[int, Address]:
        """Where each listens, by its number, the first one first."""
        with self._lock:
            return {
                number: address
                for number, word in enumerate(self._slots().listeners())
                if word and self._lives(number) and (address := decode_address(word)) is not None
            }

    def _lives(self, number: int) -> bool:
        if number in self._own:
            return True
        position = LISTENER_LOCKS + number
        locks = self._opening.locks_descriptor
        return self._opening.filesystem.lock_holder(locks, position, 1, exclusive=True) is not None
