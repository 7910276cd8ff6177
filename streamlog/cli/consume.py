"""`streamlog consume`: records as lines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from streamlog.cli.arguments import positive
from streamlog.cli.moments import TIME_FORMS, Moment, Offset, Position, end_position, position
from streamlog.cli.opening import chosen_partitions, chosen_topics, open_for_reading
from streamlog.cli.options import WHERE, add_directory, add_null, add_partitions, add_topics
from streamlog.cli.output import Output
from streamlog.errors import ConfigError, UnknownTopicError

if TYPE_CHECKING:
    from streamlog.cli.outgoing import Format
    from streamlog.clients.consumer import Consumer
    from streamlog.clients.stream_log import StreamLog
    from streamlog.record.kernel import Record

DESCRIPTION = """\
Print the records of topics: those that are there now, or with --follow also those that come. Each
record is a line. Nothing is changed; the directory may be in use.
"""
EPILOG = f"""\
Without --follow the partitions are read one after the other, each in its order. With --follow
they take turns, and Ctrl-C ends it; topics that are created later are not seen.

WHERE is earliest, latest, an offset (of one partition), or a time: that of the first record at or
after {TIME_FORMS}.

formats:
  lines  the bytes of the value as they are (default); with --key-separator the key before it. A
         value that holds a line's end is several lines: json and csv keep every byte.
  json   topic, partition, offset, timestamp, key, value, headers; bytes that are no UTF-8 are in
         key_base64 or value_base64
  csv    the same as columns under a header; no key or value is \\N (--null), bytes that are no
         UTF-8 are base64:...
--template TEXT prints what it says: {{topic}} {{partition}} {{offset}} {{timestamp}} {{time}}
{{key}} {{value}} {{headers}} {{header:NAME}}, \\t and \\n; {{{{ and }}}} are braces.

examples:
  streamlog consume events orders --max-records 10
  streamlog consume events orders --follow --from latest
  streamlog consume events orders --partition 2 --from 1042 --key-separator ': '
  streamlog consume events flights --from -1h --json | jq .value
  streamlog consume events flights --from 2013-01-31 --until 2013-02-01 --format csv
  streamlog consume events --follow --template '{{time}} {{topic}} {{key}} = {{value}}'
"""
_FLUSH_RECORDS = 1000
_LOOK_MS = 500  # how often a reader that is gone is noticed without a record


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, text="what is read")
    add_partitions(parser)
    parser.add_argument(
        "--from",
        dest="start",
        metavar=WHERE,
        type=position,
        default="earliest",
        help="where to begin (default: earliest)",
    )
    end = parser.add_mutually_exclusive_group()
    end.add_argument(
        "--until",
        metavar=WHERE,
        type=end_position,
        help="where to end, before it (default: latest)",
    )
    end.add_argument("--follow", action="store_true", help="wait for more, until Ctrl-C")
    parser.add_argument("--max-records", metavar="N", type=positive, help="at most so many")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--format", choices=("lines", "json", "csv"), default="lines")
    shape.add_argument(
        "--json", dest="format", action="store_const", const="json", help="as --format json"
    )
    shape.add_argument("--template", metavar="TEXT", help="what a line shows")
    parser.add_argument(
        "--key-separator", metavar="TEXT", help="lines: print the key, TEXT, the value"
    )
    add_null(parser, "no key or value (default: null; csv: \\N)")


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Consume."""
    shape = _format(arguments, escaped=output.is_terminal)
    if arguments.start == "latest" and not arguments.follow:
        raise ConfigError("--from latest reads nothing without --follow")
    with open_for_reading(arguments.directory) as log:
        _check_offsets(log, arguments)
        if arguments.format == "csv" and arguments.template is None:
            from streamlog.cli.outgoing import CSV_COLUMNS

            output.line(",".join(CSV_COLUMNS))
        if arguments.follow:
            _follow(log, arguments, output, shape)
        else:
            for record in islice(_existing(log, arguments), arguments.max_records):
                output.write(shape(record))
    return 0


def _check_offsets(log: StreamLog, arguments: argparse.Namespace) -> None:
    """Raises `ConfigError` for an offset that is to hold for several partitions."""
    if not isinstance(arguments.start, Offset) and not isinstance(arguments.until, Offset):
        return
    count = len(chosen_partitions(log, arguments.topics, arguments.partitions))
    if count > 1:
        raise ConfigError(f"an offset is one of {count} partitions: choose it (--partition)")


def _existing(log: StreamLog, arguments: argparse.Namespace) -> Iterator[Record]:
    """What is there now, one partition after the other."""
    start: Position = arguments.start
    until: Position | None = arguments.until
    return chain.from_iterable(
        [
            log.read(
                *partition,
                start=start.offset if isinstance(start, Offset) else 0,
                end=until.offset if isinstance(until, Offset) else None,
                start_time_ms=start.timestamp_ms if isinstance(start, Moment) else None,
                end_time_ms=until.timestamp_ms if isinstance(until, Moment) else None,
            )
            for partition in chosen_partitions(log, arguments.topics, arguments.partitions)
        ]
    )


def _follow(log: StreamLog, arguments: argparse.Namespace, output: Output, shape: Format) -> None:
    """Print records as they come, for ever or up to the limit; each poll's are out at once."""
    left = arguments.max_records
    with _open_consumer(log, arguments) as consumer:
        output.flush()
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
    start: Position = arguments.start
    reset = "latest" if start == "latest" else "earliest"
    topics = chosen_topics(log, arguments.topics)
    if not topics:
        raise UnknownTopicError("there is no topic yet whose records could come")
    if arguments.partitions is None:
        consumer = log.consumer(*topics, auto_offset_reset=reset)
    else:
        consumer = log.consumer(auto_offset_reset=reset)
        consumer.assign(chosen_partitions(log, topics, arguments.partitions))
    if isinstance(start, Offset):
        for partition in consumer.assignment():
            consumer.seek(partition, start.offset)
    elif isinstance(start, Moment):
        # The ends come first: what is appended between the two looks is not passed over.
        ends = consumer.end_offsets(consumer.assignment())
        wanted = dict.fromkeys(ends, start.timestamp_ms)
        for partition, found in consumer.offsets_for_times(wanted).items():
            consumer.seek(partition, ends[partition] if found is None else found.offset)
    return consumer


def _format(arguments: argparse.Namespace, *, escaped: bool) -> Format:
    """How a record becomes a line; for a terminal without what would move its cursor."""
    from streamlog.cli import outgoing

    null = arguments.null
    if arguments.key_separator is not None and (
        arguments.format != "lines" or arguments.template is not None
    ):
        raise ConfigError("--key-separator needs --format lines")
    if arguments.template is not None:
        shape = outgoing.template(arguments.template, "null" if null is None else null)
    elif arguments.format == "json":
        if null is not None:
            raise ConfigError("--null needs --format lines or csv: JSON has a null of its own")
        return outgoing.json_line
    elif arguments.format == "csv":
        return outgoing.csv_row("\\N" if null is None else null)
    else:
        shape = outgoing.lines(arguments.key_separator, "null" if null is None else null)
    return outgoing.for_terminal(shape) if escaped else shape
