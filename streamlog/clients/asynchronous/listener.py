"""`AsyncListener`: Kafka's endpoint on a log, for tasks. It serves on a thread of its own."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from streamlog.clients.asynchronous.workers import Workers


class _Listener(Protocol):
    """A `streamlog.listener.Listener`, which lies above this package."""

    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def bootstrap_servers(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...


class AsyncListener:
    """`Listener` for tasks; made by `AsyncStreamLog.listen()`.

    Closed by `close()`, an `async with` block or the log's own end.
    """

    def __init__(self, listener: _Listener, workers: Workers) -> None:
        self._listener = listener
        self._workers = workers

    @property
    def address(self) -> tuple[str, int]:
        """The IPv4 address and the port that clients connect to."""
        return self._listener.address

    @property
    def bootstrap_servers(self) -> str:
        """What clients are given as `bootstrap.servers`."""
        return self._listener.bootstrap_servers

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._listener.closed

    async def close(self) -> None:
        """As `Listener.close`. Cancelled it goes on."""
        if not self._listener.closed:
            await self._workers.run(self._listener.close)

    def __repr__(self) -> str:
        return repr(self._listener).replace("<Listener", "<AsyncListener")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
