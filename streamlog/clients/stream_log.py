"""`open()` and `StreamLog`: one log directory, open in this process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

from streamlog.broker.engine import Engine
from streamlog.broker.memory_directory import MEMORY_FILES, OS_FILES
from streamlog.clients.forking import watch_forks
from streamlog.clients.leaving import leaving
from streamlog.errors import ClosedError, ConfigError, UnsupportedFeatureError
from streamlog.types import BackupReport, TopicDescription

if TYPE_CHECKING:
    from streamlog.broker.memory_directory import MemoryDirectory
    from streamlog.clients.admin import Admin
    from streamlog.clients.consumer import Consumer
    from streamlog.clients.fetch import Deserializer
    from streamlog.clients.producer import Producer
    from streamlog.clients.type_codecs import Format
    from streamlog.clients.typed import TypedTopic
    from streamlog.listener import Listener
    from streamlog.record.kernel import Record
    from streamlog.storage.finding import Finding

MEMORY = ":memory:"

V = TypeVar("V")
K = TypeVar("K")


class _Closeable(Protocol):
    def close(self) -> None: ...


def open_log(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    read_only: bool | None = None,
    mode: int = 0o600,
    **settings: Any,
) -> StreamLog:
    """Open a log directory, creating it when absent.

    Any number of processes may have it open. The first recovers it when it was not closed
    cleanly. `":memory:"` is a private temporary directory, in RAM where there is room, never
    synced and gone on close. `read_only` changes nothing on disk. So is a directory opened that a
    Kafka broker made, unless `read_only=False` asks for more; the broker can be started on it
    again afterwards. `mode` is that of new files. Settings are of this process: `lock_timeout_ms`,
    `max_open_files`, `housekeeping` (False: this process applies no retention by itself),
    `log_retention_check_interval_ms` and Kafka's `log_cleaner_*`.

    Raises `NotALogDirectoryError` for something else at that path or, with `create=False`, for
    nothing; `DirectoryInUseError` when a Kafka broker holds it; `LockTimeoutError`,
    `CorruptDirectoryError`, `UnsupportedFormatError`, `ConfigError`, `UnknownSettingError`,
    `UnsupportedFeatureError` for an address (`kafka://host`) or a network file system.
    """
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        raise ConfigError(f"a path is a str that names a directory, not {name!r}", path=path)
    scheme, mark, _ = name.partition("://")
    if mark and scheme.isalpha():  # kafka://host is no wish for a directory called "kafka:"
        raise UnsupportedFeatureError(
            f"{name!r} is an address: this version opens directories only", feature="addresses"
        )
    if isinstance(mode, bool) or not isinstance(mode, int) or not 0 <= mode <= 0o777:
        raise ConfigError(f"mode={mode!r} is not allowed: it must be one as 0o600", name="mode")
    return StreamLog(name, create=create, read_only=read_only, mode=mode, **settings)


class StreamLog:
    """An open log directory: made by `streamlog.open()`, closed by `close()` or a `with` block.

    Thread-safe. In a forked child it opens the directory anew at its first use; producers and
    consumers of the parent raise `ForkedHandleError` there. After `close()` every call raises
    `ClosedError`.
    """

    def __init__(
        self, path: str, *, create: bool, read_only: bool | None, mode: int, **settings: Any
    ) -> None:
        self._memory: MemoryDirectory | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._children: weakref.WeakSet[_Closeable] = weakref.WeakSet()
        if path == MEMORY:
            if read_only or not create:
                raise ConfigError(f"{MEMORY} is always new: read_only and create=False make none")
            path = self._make_memory_directory()
        self._path = os.path.abspath(path)
        self._open_engine: Callable[[], Engine] = lambda: Engine.open(
            self._path,
            create=create,
            read_only=read_only,
            mode=mode,
            settings=settings,
            filesystem=OS_FILES if self._memory is None else MEMORY_FILES,
        )
        self._forked = False
        try:
            self._engine = self._open_engine()
        except BaseException:
            self._remove_memory_directory()
            raise
        watch_forks(self)

    @property
    def path(self) -> str:
        """The directory, absolute."""
        return self._path

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._engine.read_only

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._closed

    def __repr__(self) -> str:
        state = " closed" if self._closed else " read-only" if self.read_only else ""
        return f"<StreamLog {self._path}{state}>"

    # Topics

    def create_topic(self, /, name: str, partitions: int = 1, **settings: Any) -> TopicDescription:
        """Create a topic, durably. Settings are Kafka's topic settings in snake_case, or dotted
        as in `**{"cleanup.policy": "compact"}`.

        Raises `InvalidTopicError`, `TopicExistsError` (also for a name that differs from
        another's only by `.` against `_`), `UnknownSettingError`, `ConfigError`, `ReadOnlyError`.
        """
        return self.engine_for_writing().create_topic(name, partitions, settings)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and its records, durably. What was read stays valid.

        Raises `UnknownTopicError`, `ReadOnlyError`.
        """
        self.engine_for_writing().delete_topic(name)

    def create_partitions(self, name: str, partitions: int) -> TopicDescription:
        """Let a topic have `partitions` in total; records stay where they are.

        Keys are spread over the new number from then on. Raises `UnknownTopicError`, and
        `ConfigError` unless it is more than there are.
        """
        return self.engine_for_writing().create_partitions(name, partitions)

    def alter_topic(self, /, name: str, **settings: Any) -> TopicDescription:
        """Change these settings of a topic, durably; None restores a default.

        What is appended and read afterwards obeys them, in every process and without reopening
        anything. `Admin.alter_configs` does more. Raises `UnknownTopicError`,
        `UnknownSettingError`, `ConfigError` (nothing is changed then), `ReadOnlyError`.
        """
        return self.engine_for_writing().alter_topics({name: settings})[0]

    def topics(self) -> dict[str, TopicDescription]:
        """Every topic by name, internal ones included."""
        return self.engine().topics()

    # Clients

    def producer(self, **settings: Any) -> Producer:
        """A producer with Kafka's settings (`acks`, `linger_ms`, `compression_type`, ...).

        Raises `ReadOnlyError`, `UnknownSettingError`, `UnsupportedFeatureError`, `ConfigError`.
        """
        from streamlog.clients.producer import Producer
        from streamlog.config import ProducerConfig

        producer = Producer(self.engine_for_writing(), ProducerConfig.from_settings(settings))
        self.adopt(producer)
        return producer

    def consumer(self, *topics: str, **settings: Any) -> Consumer:
        """A consumer of all partitions of these topics, with Kafka's settings; with a `group_id`,
        of what the group assigns to it.

        Without topics, call its `subscribe()` or `assign()`. Where reading starts
        (`auto_offset_reset`, by default "latest") is settled when this returns: nothing that is
        appended later is missed. Raises `UnknownTopicError`, `UnknownSettingError`,
        `ConfigError`, `UnsupportedFeatureError`, `GroupError`.
        """
        from streamlog.clients.consumer import Consumer
        from streamlog.config import ConsumerConfig

        consumer = Consumer(self.engine(), topics, ConsumerConfig.from_settings(settings))
        self.adopt(consumer)
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
    ) -> Iterator[Record]:
        """The records that are there now, then it ends: of one partition, or one after the other.

        From offset `start` up to, not including, `end`; 0 and None stand for the first and the
        last there is. Or by time in ms: from the first record at or after `start_time_ms` up to
        the first at or after `end_time_ms`. Raises `UnknownTopicError`, `OffsetOutOfRangeError`
        for a `start` that is no longer there, `LogTruncatedError` for one behind the end; while
        reading `CorruptRecordError`, `SerializationError`, and `OffsetOutOfRangeError` when
        retention or `delete_records` removes what was about to be read.
        """
        from streamlog.clients.read import read

        return read(
            self.engine(),
            topic,
            partition,
            start=start,
            end=end,
            start_time_ms=start_time_ms,
            end_time_ms=end_time_ms,
            key_deserializer=key_deserializer,
            value_deserializer=value_deserializer,
        )

    @overload
    def topic(
        self, name: str, value_type: type[V], *, value_format: Format = "json"
    ) -> TypedTopic[V, bytes]: ...
    @overload
    def topic(
        self, name: str, value_type: type[V], *, key_type: type[K], value_format: Format = "json"
    ) -> TypedTopic[V, K]: ...
    def topic(
        self,
        name: str,
        value_type: type[V],
        *,
        key_type: Any = bytes,
        value_format: Format = "json",
    ) -> TypedTopic[V, Any]:
        """A topic whose values are objects of one type: a `msgspec.Struct`, or what msgspec knows.

        Values are JSON or, with `value_format="msgpack"`, MessagePack. Keys are bytes, or of
        `key_type`: text, int (8 bytes) and UUID as Kafka's serializers write them, other types
        like values. Raises `UnknownTopicError`, and `ConfigError` for a type that cannot be read
        back.
        """
        from streamlog.clients import type_codecs
        from streamlog.clients.typed import TypedTopic

        values = type_codecs.codec_of_values(value_type, value_format)
        keys = type_codecs.codec_of_keys(key_type, value_format)
        return TypedTopic(self, self.engine().topic(name).name, values, keys)

    @property
    def admin(self) -> Admin:
        """What Kafka's Admin client has: topics in bulk, offsets, repairs, descriptions."""
        from streamlog.clients.admin import Admin

        return Admin(self)

    def listen(self, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> Listener:
        """Let Kafka's clients use this log over the network, until the listener or the log closes.

        `port` 0 takes a free one: see `Listener.bootstrap_servers`. Nobody is kept out, so `host`
        had better be a loopback address; it has to be an IPv4 one that clients can connect to.
        Settings are Kafka's broker settings (`num_partitions`, `auto_create_topics_enable`, ...).
        Topics that clients create keep records for Kafka's seven days, not for ever
        (`log_retention_ms`). Some settings can be changed while it listens, by Kafka's tools: they
        stay with the directory and come before what is given here. Raises `ReadOnlyError`,
        `ConfigError`, `UnknownSettingError`, and `InputOutputError` when the port is taken.
        """
        from streamlog.config.listener_settings import ListenerConfig
        from streamlog.listener import Listener

        config = ListenerConfig.from_settings(settings)
        listener = Listener(self.engine_for_writing(), host, port, config)
        self._children.add(listener)
        return listener

    # The directory

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[Finding]:
        """Check every batch, index and checkpoint; what is wrong where. Changes nothing.

        `progress(done_bytes, total_bytes)` is called as the files are read.
        """
        from streamlog.broker.verifying import verify_open_directory

        return verify_open_directory(self.engine(), progress)

    def backup(
        self,
        destination: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], None] | None = None,
        link: bool = True,
    ) -> BackupReport:
        """Make a copy of the whole log at `destination`, as it is at one instant.

        Others go on meanwhile, whatever they do. What was acknowledged before the call is in it,
        and no record without those that its writer had written before, in whichever partition.
        The copy is a log directory that was closed cleanly: restoring it is opening it.

        It appears at once, when all of it is on the disk. A former backup of this log at
        `destination` stays what it is until then, and sealed segments that it has are not copied
        again; those that are appended to are. `progress(done_bytes, total_bytes)` is called as it
        goes on, by any thread.

        On one file system sealed segments are hard links: the same file under two names. Nothing
        that streamlog or a Kafka broker does to the backup, or to the log, changes such a file;
        `chmod`, or a program that writes into it, does so for both. `link=False` copies instead.

        Raises `BackupDestinationError` for a destination that is neither absent, empty nor an
        unchanged backup of this log, or inside it; `DirectoryInUseError` when somebody has that
        open; `ReadOnlyError`, `PartitionPoisonedError`, `LockTimeoutError` when a process does
        not let go of a partition, `DiskFullError`, `InputOutputError`. The log is as it was then,
        and so is the former backup.
        """
        name = os.fspath(destination)
        if not isinstance(name, str) or not name or "\0" in name:
            raise ConfigError(f"a destination is a str that names a directory, not {name!r}")
        if name == MEMORY:
            raise ConfigError(f"{MEMORY} is gone on close, and no place for a backup")
        from streamlog.broker.backup import back_up

        return back_up(self.engine_for_writing(), name, progress=progress, link=link)

    def sync(self) -> None:
        """Put everything that was appended so far, by anybody, on the disk."""
        self.engine().sync()

    def close(self) -> None:
        """Close its producers (flushing them) and consumers, then the directory.

        The last process to close syncs everything. Does nothing the second time. Raises
        `DeliveryError` with failures that nobody looked at, after everything is closed.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self._close_children()
        finally:
            try:
                if not self._forked:
                    self._engine.close()
            finally:
                self._remove_memory_directory()

    def engine(self) -> Engine:
        """The engine of this process, opened anew after a fork. For `streamlog`'s own modules."""
        if self._closed:
            raise ClosedError(f"the log {self._path} is closed")
        if self._forked:
            with self._lock:
                if self._forked:
                    self._engine = self._open_engine()
                    self._forked = False
        return self._engine

    def adopt(self, client: _Closeable) -> None:
        """Close this client too when the log is closed. For `streamlog`'s own modules."""
        self._children.add(client)

    def engine_for_writing(self) -> Engine:
        """The engine. Raises `ReadOnlyError` on a log that was opened for reading."""
        engine = self.engine()
        engine.check_writable()
        return engine

    def forked_in_child(self) -> None:
        """The parent's engine and clients are not this process's."""
        self._lock = threading.Lock()
        self._children = weakref.WeakSet()
        self._forked = True

    def _close_children(self) -> None:
        """Close every client, also when one of them fails; the first failure is raised."""
        failure: BaseException | None = None
        for child in list(self._children):
            try:
                child.close()
            except BaseException as error:  # noqa: BLE001  # raised below
                failure = failure or error
        if failure is not None:
            raise failure

    def _make_memory_directory(self) -> str:
        from streamlog.broker.memory_directory import make_memory_directory

        self._memory = make_memory_directory()
        return self._memory.path

    def _remove_memory_directory(self) -> None:
        if self._memory is not None:
            self._memory.remove()

    def __enter__(self) -> Self:
        self.engine()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with leaving(error):
            self.close()
