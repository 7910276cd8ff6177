"""Room in `buffer_memory`: what it is waited for, and the error of who waited too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlog.errors import BufferExhaustedError, RecordTooLargeError

if TYPE_CHECKING:
    from streamlog.clients.accumulators import RecordAccumulator
    from streamlog.clock import Clock
    from streamlog.config import ProducerConfig


class Room:
    """The memory of one producer. Whoever gives some back calls `was_made()`."""

    def __init__(self, producer: RecordAccumulator, config: ProducerConfig, clock: Clock) -> None:
        self._producer = producer
        self._config = config
        self._clock = clock
        self._made = threading.Condition()
        self._waiting = 0
        #: Called too when room was made, from whichever thread made it.
        self.listener: Callable[[], object] | None = None

    def has(self, size: int) -> bool:
        """Whether `size` more bytes fit. Raises `RecordTooLargeError` if they never do."""
        limit = self._config.buffer_memory
        if size > limit:
            raise RecordTooLargeError(
                f"a batch of {size} bytes does not fit in buffer_memory={limit}",
                size=size,
                limit=limit,
            )
        return bool(self._producer.memory_used + size <= limit)

    def deadline(self) -> float:
        """When waiting that begins now has to be over: after `max_block_ms`."""
        return self._clock.monotonic() + self._config.max_block_ms / 1000

    def left(self, size: int, deadline: float) -> float:
        """The seconds to the deadline. Raises `BufferExhaustedError` when there are none."""
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise BufferExhaustedError(
                f"no room for {size} bytes in buffer_memory={self._config.buffer_memory} within "
                f"max_block_ms={self._config.max_block_ms}: others are writing",
                size=size,
                limit=self._config.buffer_memory,
            )
        return left

    def wait(self, size: int, deadline: float) -> None:
        """Return when room was made. Raises `BufferExhaustedError` at the deadline."""
        with self._made:
            self._waiting += 1
            try:
                if not self.has(size):
                    self._made.wait(self.left(size, deadline))
            finally:
                self._waiting -= 1

    def was_made(self) -> None:
        """Wake whoever waits."""
        if self._waiting:
            with self._made:
                self._made.notify_all()
        if self.listener is not None:
            self.listener()
