"""`streamlog produce`: lines of text become records."""

from __future__ import annotations

import argparse
import os
import sys
from collections import deque
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from streamlog.cli.arguments import add_json, add_progress, natural, positive
from streamlog.cli.output import Output, count_text, size_text
from streamlog.cli.progress import Progress

if TYPE_CHECKING:
    from streamlog.clients.producer import Producer
    from streamlog.clients.stream_log import StreamLog

DESCRIPTION = """\
Write one record for each line of a file, or of standard input until it ends. The line end goes,
everything else stays as it is. Lines are written as they come, many at a time where many are there.
"""
EPILOG = """\
--acks says when a line counts as written: "all" when the disk has it (survives power loss), 1 when
the operating system has it (survives this process), 0 at once.

A line that cannot be a record ends the command with its number; all lines before it are written.

examples:
  streamlog produce events orders orders.jsonl --create
  printf '42:{"total": 9.5}\\n' | streamlog produce events orders --key-separator :
  tail -F app.log | streamlog produce events logs --acks 1
"""
_CHUNK = 1 << 20
_IN_FLIGHT = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("directory", metavar="DIRECTORY", help="a log directory")
    parser.add_argument("topic", metavar="TOPIC", help="where the records go")
    parser.add_argument("file", metavar="FILE", nargs="?", help="lines (default: standard input)")
    parser.add_argument(
        "--key-separator",
        metavar="TEXT",
        help="what is before the first TEXT of a line is the record's key",
    )
    parser.add_argument(
        "--partition", metavar="N", type=natural, help="write to this one (default: by key)"
    )
    parser.add_argument(
        "--acks", choices=("all", "1", "0"), default="all", help="durability (default: all)"
    )
    parser.add_argument(
        "--compression",
        metavar="CODEC",
        choices=("none", "gzip", "snappy", "lz4", "zstd"),
        default="none",
        help="none (default), gzip, snappy, lz4 or zstd",
    )
    parser.add_argument(
        "--create", action="store_true", help="create directory and topic when they are not there"
    )
    parser.add_argument(
        "--partitions",
        metavar="N",
        type=positive,
        default=1,
        help="how many partitions --create makes (default: 1)",
    )
    add_json(parser)
    add_progress(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Produce; says on stderr what was written, also when it ended early."""
    from streamlog.errors import UnknownTopicError

    if not arguments.create:
        os.stat(arguments.directory)
    source, size = _open_source(arguments.file)
    with source:
        try:
            _produce(arguments, source, size, output)
        except UnknownTopicError as error:
            error.add_note("(--create makes it)")
            raise
    return 0


def _produce(arguments: argparse.Namespace, source: IO[bytes], size: int, output: Output) -> None:
    import streamlog

    with streamlog.open(arguments.directory, create=arguments.create, housekeeping=False) as log:
        if arguments.create:
            _create_topic(log, arguments.topic, arguments.partitions)
        acks: Any = arguments.acks if arguments.acks == "all" else int(arguments.acks)
        producer = log.producer(acks=acks, compression_type=arguments.compression)
        producer.partitions_for(arguments.topic)
        counts = _Counts()
        with Progress(arguments.progress) as progress:
            try:
                lines = _Lines(producer, arguments)
                for chunk in _chunks(source):
                    lines.send(chunk, counts)
                    progress.update(counts.bytes, size)
                lines.finish()
            except KeyboardInterrupt:
                counts.interrupted = True
                raise
            finally:
                producer.close()
                _report(arguments, counts, progress.seconds, output)


class _Counts:
    """How much was written so far."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.interrupted = False  # perhaps between writing lines and counting them


class _Lines:
    """Sends lines, several chunks in flight."""

    def __init__(self, producer: Producer, arguments: argparse.Namespace) -> None:
        separator = arguments.key_separator
        self._producer = producer
        self._topic = arguments.topic
        self._partition = arguments.partition
        self._separator = None if separator is None else os.fsencode(separator)
        self._futures: deque[Any] = deque()

    def send(self, lines: list[bytes], counts: _Counts) -> None:
        """Send lines. Raises `SendError` naming the first that is none of a record."""
        from streamlog.errors import RecordTooLargeError

        keys, values, fault = self._split(lines, counts.records)
        try:
            self._send(keys, values, counts)
        except RecordTooLargeError:
            self._send_singly(keys, values, counts)
            raise
        if fault is not None:
            raise fault
        while len(self._futures) > _IN_FLIGHT:
            self._futures.popleft().result()

    def finish(self) -> None:
        """Wait until everything is as durable as it should be."""
        self._producer.flush()
        while self._futures:
            self._futures.popleft().result()

    def _split(
        self, lines: list[bytes], before: int
    ) -> tuple[list[bytes] | None, list[bytes], Exception | None]:
        """Keys and values of the lines up to the first without a key, and what to say of it."""
        from streamlog.errors import InvalidRecordError

        separator = self._separator
        if separator is None:
            return None, lines, None
        keys: list[bytes] = []
        values: list[bytes] = []
        for line in lines:
            key, found, value = line.partition(separator)
            if not found:
                number = before + len(values) + 1
                text = f"line {number} has no key: {os.fsdecode(separator)!r} is not in it"
                return keys, values, InvalidRecordError(text)
            keys.append(key)
            values.append(value)
        return keys, values, None

    def _send(self, keys: list[bytes] | None, values: list[bytes], counts: _Counts) -> None:
        if values:
            self._futures.append(
                self._producer.send_many(self._topic, values, keys, self._partition)
            )
            counts.records += len(values)
            counts.bytes += sum(map(len, values)) + sum(map(len, keys or ())) + len(values)

    def _send_singly(self, keys: list[bytes] | None, values: list[bytes], counts: _Counts) -> None:
        """Send what comes before the line that is too large; raises for that, by number."""
        from streamlog.errors import RecordTooLargeError

        for index, value in enumerate(values):
            try:
                self._send(None if keys is None else [keys[index]], [value], counts)
            except RecordTooLargeError as error:
                raise RecordTooLargeError(
                    f"line {counts.records + 1}: {error}", **error.context
                ) from error


def _open_source(file: str | None) -> tuple[IO[bytes], int]:
    """The lines' source and its size in bytes, 0 when nobody knows."""
    if file is None or file == "-":
        if sys.stdin is None:
            raise OSError("standard input is closed")
        return sys.stdin.buffer, 0
    source = open(file, "rb")  # noqa: SIM115  # the caller closes it
    return source, os.fstat(source.fileno()).st_size


def _chunks(source: IO[bytes]) -> Iterator[list[bytes]]:
    """The lines that are there, without their ends; waits only when there is none."""
    rest = b""
    read = getattr(source, "read1", source.read)
    while data := read(_CHUNK):
        if b"\n" not in data:
            rest += data
            continue
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        yield lines
    if rest:
        yield [rest]


def _create_topic(log: StreamLog, topic: str, partitions: int) -> None:
    from streamlog.errors import TopicExistsError

    if topic not in log.topics():
        try:
            log.create_topic(topic, partitions)
        except TopicExistsError:
            if topic not in log.topics():  # it collides with another's name
                raise


def _report(arguments: argparse.Namespace, counts: _Counts, seconds: float, output: Output) -> None:
    if arguments.json:
        output.json_object(
            {
                "topic": arguments.topic,
                "records": counts.records,
                "bytes": counts.bytes,
                "seconds": round(seconds, 6),
                "acks": arguments.acks,
                "interrupted": counts.interrupted,
            }
        )
        return
    durability = {"all": "synced", "1": "written", "0": "sent"}[arguments.acks]
    start = "interrupted; at least " if counts.interrupted else ""
    print(
        f"streamlog produce: {start}{count_text(counts.records, 'record')} {durability} to "
        f"{arguments.topic}, {size_text(counts.bytes)} in {seconds:.1f} s",
        file=sys.stderr,
    )
