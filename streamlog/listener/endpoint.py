"""`Endpoint`: what every connection and handler of a listener shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from streamlog.listener.fetch_sessions import FetchSessions
from streamlog.listener.long_polls import LongPolls
from streamlog.listener.memory_budget import MemoryBudget
from streamlog.listener.partition_lookup import PartitionLookup

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.config.listener_settings import ListenerConfig
    from streamlog.listener.connection import Connection

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_WORKER_THREADS = 8


class Endpoint:
    """An engine as seen from a network: address, settings, and what is between requests.

    Made in the loop's thread, used there only. `run` has something done on a thread;
    `run_alone` on a thread of its own, one after the other: what may take much memory.
    """

    def __init__(
        self, engine: Engine, config: ListenerConfig, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.engine = engine
        self.config = config
        self.loop = loop
        self.host = ""
        self.port = 0
        self.number = 0  # among the listeners of the directory
        self.leader_id = self.node_id
        self.cluster_id: str = engine.metadata.meta.cluster_id
        self.connections: set[Connection] = set()
        self.is_ending = False  # who is being accepted at that moment is not let in
        self.deserted = asyncio.Event()  # there are none
        self.deserted.set()
        self.budget = MemoryBudget(config.queued_max_request_bytes, loop.call_soon)
        self.partitions = PartitionLookup(engine)
        self.fetch_sessions = FetchSessions(config.max_incremental_fetch_session_cache_slots)
        self.long_polls = LongPolls(engine, loop)
        self._workers = ThreadPoolExecutor(_WORKER_THREADS, "streamlog-worker")
        self._lone_worker = ThreadPoolExecutor(1, "streamlog-records")

    @property
    def node_id(self) -> int:
        """Who this listener is to its clients."""
        return self.engine.metadata.meta.node_id + self.number

    @property
    def current_config(self) -> ListenerConfig:
        """`config` with what was changed while it listens."""
        return self.engine.broker_configs.of_listener(self.config, self.node_id)

    def nodes(self) -> dict[int, tuple[str, int]]:
        """Every listener of the directory by its node's id, as of now."""
        first = self.engine.metadata.meta.node_id
        known = self.engine.groups.listeners.known()
        return {first + number: address for number, address in known.items()}

    def look_for_leader(self) -> None:
        """Find the node that leads every partition: `leader_id` until it is looked for again.

        Any node could lead; but all have to name the same one.
        """
        self.leader_id = min(self.nodes())

    async def run(
        self,
        function: Callable[_Arguments, _Result],
        /,
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        """The result of `function`, called on a thread."""
        return await self.loop.run_in_executor(self._workers, lambda: function(*arguments, **named))

    async def run_alone(
        self,
        function: Callable[_Arguments, _Result],
        /,
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        """The result of `function`, called on the thread where nothing else is."""
        return await self.loop.run_in_executor(
            self._lone_worker, lambda: function(*arguments, **named)
        )

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False when there are `max.connections`, or it comes too late."""
        if self.is_ending or len(self.connections) >= self.current_config.max_connections:
            return False
        self.connections.add(connection)
        self.deserted.clear()
        return True

    def dismiss(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self.deserted.set()

    def close(self) -> None:
        """End the threads. What they do now is finished first; no connection is left by now."""
        self.long_polls.close()
        self._lone_worker.shutdown()
        self._workers.shutdown()
