"""`open_async()` and `AsyncStreamLog`: one log directory, open in this process, for event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from streamlog.clients.asynchronous.driving import on_worker
from streamlog.clients.asynchronous.workers import Workers
from streamlog.clients.leaving import leaving
from streamlog.clients.stream_log import StreamLog, open_log
from streamlog.errors import ClosedError, UsageError

if TYPE_CHECKING:
    import os

    from streamlog.clients.asynchronous.admin import AsyncAdmin
    from streamlog.clients.asynchronous.consumer import AsyncConsumer
    from streamlog.clients.asynchronous.listener import AsyncListener
    from streamlog.clients.asynchronous.producer import AsyncProducer
    from streamlog.clients.asynchronous.reading import AsyncReading
    from streamlog.clients.asynchronous.typed import AsyncTypedTopic
    from streamlog.clients.fetch import Deserializer
    from streamlog.clients.type_codecs import Format
    from streamlog.storage.finding import Finding
    from streamlog.types import BackupReport

V = TypeVar("V")
K = TypeVar("K")
T = TypeVar("T")
Progress = Callable[[int, int], None]


def open_async(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    read_only: bool | None = None,
    mode: int = 0o600,
    **settings: Any,
) -> AsyncStreamLog:
    """Open a log directory as `open()` does, for use with asyncio.

        async with streamlog.open_async("events") as log:
            ...

    `log = await streamlog.open_async("events")` opens it too; then `await log.close()` closes it.
    """
    return AsyncStreamLog(
        partial(open_log, path, create=create, read_only=read_only, mode=mode, **settings)
    )


class AsyncStreamLog:
    """`StreamLog` for tasks: made by `streamlog.open_async()`, opened by `async with` or `await`.

    For tasks of any loop and thread. Producers, consumers and what `read()` returns are made at
    once; whatever touches the directory is awaited. A cancelled call has not begun, or is finished
    with nobody waiting; a log that is opened so is closed again.
    """

    def __init__(self, open_log: Callable[[], StreamLog]) -> None:
        self._open_log = open_log
        self._workers = Workers()
        self._log: StreamLog | None = None
        self._closing: Future[None] | None = None
        self._close_was_heard = False

    # Topics

    create_topic = on_worker(StreamLog.create_topic)
    delete_topic = on_worker(StreamLog.delete_topic)
    create_partitions = on_worker(StreamLog.create_partitions)
    alter_topic = on_worker(StreamLog.alter_topic)
    topics = on_worker(StreamLog.topics)

    # Clients

    def producer(self, **settings: Any) -> AsyncProducer:
        """A producer, with the settings and errors of `StreamLog.producer`.

        It is there at once; `async with` closes it.
        """
        from streamlog.clients.asynchronous.loop_producer import LoopProducer
        from streamlog.clients.asynchronous.producer import AsyncProducer
        from streamlog.config import ProducerConfig

        log = self._opened()
        engine = log.engine_for_writing()
        config = ProducerConfig.from_settings(settings)
        producer = LoopProducer(engine, config, self._workers)
        log.adopt(producer)
        return AsyncProducer(producer, engine, self._workers)

    def consumer(self, *topics: str, **settings: Any) -> AsyncConsumer:
        """A consumer of all partitions of these topics, with `StreamLog.consumer`'s settings.

        What is wrong with the settings is raised at once, what is wrong with the topics when it
        is entered (`async with`), awaited or first used: then, too, is settled where it starts.
        """
        from streamlog.clients.asynchronous.consumer import AsyncConsumer
        from streamlog.config import ConsumerConfig

        log = self._opened()
        config = ConsumerConfig.from_settings(settings)
        consumer = AsyncConsumer(log.engine(), topics, config, self._workers)
        log.adopt(consumer.synchronous)
        return consumer

    def read(
        self,
        topic: str,
        partition: int | None = None,
        start: int = 0,
        end: int | None = None,
        *,
        start_time_ms: int | None = None,
        end_time_ms: int | None = None,
        key_deserializer: Deserializer | None = None,
        value_deserializer: Deserializer | None = None,
    ) -> AsyncReading:
        """The records that are there, then it ends: `async for record in log.read(...)`.

        What is there is settled, and what `StreamLog.read` raises is raised, by the first step of
        the iteration; or before it by awaiting what this returns.
        """
        from streamlog.clients.asynchronous.reading import Reading
        from streamlog.clients.read import open_ranges

        engine = self._opened().engine()
        ranges = partial(
            open_ranges,
            engine,
            topic,
            partition,
            start=start,
            end=end,
            start_time_ms=start_time_ms,
            end_time_ms=end_time_ms,
        )
        reading = Reading(engine, self._workers, ranges)
        return reading.records(key_deserializer, value_deserializer)

    @overload
    async def topic(
        self, name: str, value_type: type[V], *, value_format: Format = "json"
    ) -> AsyncTypedTopic[V, bytes]: ...
    @overload
    async def topic(
        self, name: str, value_type: type[V], *, key_type: type[K], value_format: Format = "json"
    ) -> AsyncTypedTopic[V, K]: ...
    async def topic(
        self,
        name: str,
        value_type: type[V],
        *,
        key_type: Any = bytes,
        value_format: Format = "json",
    ) -> AsyncTypedTopic[V, Any]:
        """A topic whose values are objects of one type: see `StreamLog.topic`."""
        from streamlog.clients.asynchronous.typed import AsyncTypedTopic

        describe = partial(
            self._opened().topic, name, value_type, key_type=key_type, value_format=value_format
        )
        return AsyncTypedTopic(self, await self._workers.run(describe))

    @property
    def admin(self) -> AsyncAdmin:
        """What Kafka's Admin client has: see `Admin`."""
        from streamlog.clients.asynchronous.admin import AsyncAdmin

        return AsyncAdmin(self._opened().admin, self._workers)

    # The directory

    @property
    def path(self) -> str:
        """The directory, absolute."""
        return self._opened().path

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._opened().read_only

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closing is not None

    def __repr__(self) -> str:
        return f"<AsyncStreamLog of {self._log}>" if self._log else "<AsyncStreamLog, not open>"

    async def listen(
        self, host: str = "127.0.0.1", port: int = 0, **settings: Any
    ) -> AsyncListener:
        """Let Kafka's clients use this log over the network, as `StreamLog.listen`."""
        from streamlog.clients.asynchronous.listener import AsyncListener

        listen = partial(self._opened().listen, host, port, **settings)
        return AsyncListener(await self._workers.run(listen), self._workers)

    async def verify(self, progress: Progress | None = None) -> list[Finding]:
        """Check every file, as `StreamLog.verify`. `progress` is called on the event loop.

        Cancelled, it ends soon.
        """
        return await self._run_reporting(self._opened().verify, progress)

    async def backup(
        self,
        destination: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        link: bool = True,
    ) -> BackupReport:
        """Make a copy of the whole log, as `StreamLog.backup`. `progress` is called on the loop.

        Cancelled, it ends soon: the backup is made, or the former one is what it was.
        """
        back_up = partial(self._opened().backup, destination, link=link)
        return await self._run_reporting(lambda report: back_up(progress=report), progress)

    async def _run_reporting(self, call: Callable[[Progress], T], progress: Progress | None) -> T:
        """Have a worker call something long, which ends when nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        is_over = False

        def report(done_bytes: int, total_bytes: int) -> None:
            if is_over:
                raise UsageError("nobody waits for this any more")
            if progress is not None:
                loop.call_soon_threadsafe(progress, done_bytes, total_bytes)

        try:
            return await self._workers.run(partial(call, report))
        finally:
            is_over = True

    sync = on_worker(StreamLog.sync)

    async def close(self) -> None:
        """Close its producers (flushing them) and consumers, then the directory.

        Cancelled it goes on, and another call waits for its end; after that it does nothing.
        Raises what `StreamLog.close` raises.
        """
        if self._close_was_heard:
            return
        if self._closing is None:
            close = (lambda: None) if self._log is None else self._log.close
            self._closing = self._workers.submit(close)
            self._closing.add_done_callback(lambda _: self._workers.close())
        try:
            await self._workers.outcome(self._closing)
        finally:
            self._close_was_heard = self._closing.done()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        return await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with leaving(error):
            await self.close()

    async def _open(self) -> Self:
        if self._closing is not None:
            raise ClosedError("the log is closed; open_async() makes another")
        if self._log is None:
            job = self._workers.submit(self._open_log)
            try:
                self._log = await self._workers.outcome(job)
            except asyncio.CancelledError:
                if not job.cancel():
                    job.add_done_callback(_close_again)
                raise
        self._log.engine()
        return self

    @property
    def synchronous(self) -> StreamLog:
        """The `StreamLog` under it, which blocks; for other threads than the loop's."""
        return self._opened()

    def _opened(self) -> StreamLog:
        if self._log is None:
            raise UsageError("the log is not open yet: `async with` or `await` opens it")
        return self._log

    def _synchronous(self) -> tuple[StreamLog, Workers]:
        return self._opened(), self._workers


def _close_again(job: Future[StreamLog]) -> None:
    """Close a log that was opened for somebody who had left. On the worker that opened it."""
    if job.exception() is None:
        job.result().close()
