"""`streamlog consume`: records as lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from streamlog.cli.arguments import natural, positive, start_word, time_ms
from streamlog.cli.output import Output, encode_json, escape

if TYPE_CHECKING:
    from streamlog.clients.consumer import Consumer
    from streamlog.clients.stream_log import StreamLog
    from streamlog.record.kernel import Record

DESCRIPTION = """\
Print the records of a topic: those that are there now, or with --follow also those that come. Each
record is a line. Nothing is changed; the directory may be in use.
"""
EPILOG = """\
Without --follow the partitions are read one after the other, each in its order. With --follow
they take turns, and Ctrl-C ends it.

formats:
  value       the bytes of the value as they are (default); "null" where there is none
  key-value   key, a tab (--separator), value
  json        topic, partition, offset, timestamp, key, value, headers; bytes that are no UTF-8
              are in key_base64 or value_base64

examples:
  streamlog consume events orders --limit 10
  streamlog consume events orders --follow --from latest
  streamlog consume events orders --partition 2 --from 1042 --format key-value
  streamlog consume events flights --from-time 2013-01-31T12:00 --json | jq .value
"""
_FLUSH_RECORDS = 1000
_LOOK_MS = 500  # how often a reader that is gone is noticed without a record

Format = Callable[["Record"], bytes]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("directory", metavar="DIRECTORY", help="a log directory")
    parser.add_argument("topic", metavar="TOPIC", help="what is read")
    parser.add_argument(
        "--partition", metavar="N", type=natural, help="only this one (default: all)"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--from",
        dest="start",
        metavar="WHERE",
        type=start_word,
        default="beginning",
        help="beginning (default), latest, or an offset",
    )
    start.add_argument(
        "--from-time",
        metavar="TIME",
        type=time_ms,
        help="the first record at or after a time: 2013-01-31T12:30 (UTC), or ms since 1970",
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="at most so many records")
    parser.add_argument("--follow", action="store_true", help="wait for more, until Ctrl-C")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--format",
        choices=("value", "key-value", "json"),
        default="value",
        help="what a line shows (default: value)",
    )
    shape.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="json",
        help="the same as --format json",
    )
    parser.add_argument(
        "--separator",
        metavar="TEXT",
        default="\t",
        help="between key and value (default: a tab)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Consume."""
    import streamlog

    if arguments.start == "latest" and not arguments.follow:
        print("streamlog consume: --from latest reads nothing without --follow", file=sys.stderr)
        return 2
    with streamlog.open(arguments.directory, create=False, read_only=True) as log:
        shape = _format(arguments, escaped=output.is_terminal)
        partitions = log.admin.describe_topics([arguments.topic])[arguments.topic].partitions
        if isinstance(arguments.start, int) and arguments.partition is None and partitions > 1:
            print(
                f"streamlog consume: {arguments.topic} has {partitions} partitions: an offset "
                "needs --partition",
                file=sys.stderr,
            )
            return 2
        if arguments.follow:
            _follow(log, arguments, output, shape)
        else:
            _print_existing(log, arguments, output, shape)
    return 0


def _print_existing(
    log: StreamLog, arguments: argparse.Namespace, output: Output, shape: Format
) -> None:
    records: Iterator[Record] = log.read(
        arguments.topic,
        arguments.partition,
        start=arguments.start if isinstance(arguments.start, int) else 0,
        start_time_ms=arguments.from_time,
    )
    for record in islice(records, arguments.limit):
        output.write(shape(record))


def _follow(log: StreamLog, arguments: argparse.Namespace, output: Output, shape: Format) -> None:
    """Print records as they come, for ever or up to the limit; each poll's are out at once."""
    left = arguments.limit
    with _open_consumer(log, arguments) as consumer:
        while left is None or left > 0:
            most = _FLUSH_RECORDS if left is None else min(left, _FLUSH_RECORDS)
            records = consumer.poll(_LOOK_MS, max_records=most)
            if not records:
                output.check_reader()
                continue
            output.write(b"".join(map(shape, records)))
            output.flush()
            if left is not None:
                left -= len(records)


def _open_consumer(log: StreamLog, arguments: argparse.Namespace) -> Consumer:
    from streamlog.types import TopicPartition

    reset = "latest" if arguments.start == "latest" else "earliest"
    if arguments.partition is None:
        consumer = log.consumer(arguments.topic, auto_offset_reset=reset)
    else:
        consumer = log.consumer(auto_offset_reset=reset)
        consumer.assign([TopicPartition(arguments.topic, arguments.partition)])
    if isinstance(arguments.start, int):
        for partition in consumer.assignment():
            consumer.seek(partition, arguments.start)
    elif arguments.from_time is not None:
        # The ends come first: what is appended between the two looks is not passed over.
        ends = consumer.end_offsets(consumer.assignment())
        wanted = dict.fromkeys(ends, arguments.from_time)
        for partition, found in consumer.offsets_for_times(wanted).items():
            consumer.seek(partition, ends[partition] if found is None else found.offset)
    return consumer


def _format(arguments: argparse.Namespace, *, escaped: bool) -> Format:
    """How a record becomes a line; for a terminal without what would move its cursor."""
    if arguments.format == "json":
        return _json_line
    separator = arguments.separator.encode()
    if arguments.format == "key-value":

        def shape(record: Record) -> bytes:
            return b"%b%b%b\n" % (_bytes(record.key), separator, _bytes(record.value))

    else:

        def shape(record: Record) -> bytes:
            return b"%b\n" % _bytes(record.value)

    if not escaped:
        return shape
    return lambda record: _for_terminal(shape(record))


def _bytes(data: bytes | None) -> bytes:
    return b"null" if data is None else data


def _for_terminal(line: bytes) -> bytes:
    text = line[:-1].decode("utf-8", "backslashreplace")
    return "\t".join(map(escape, text.split("\t"))).encode() + b"\n"


def _json_line(record: Record) -> bytes:
    from streamlog.cli.dump_json import record_fields

    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        **record_fields(record),
    }
    return encode_json(fields) + b"\n"
