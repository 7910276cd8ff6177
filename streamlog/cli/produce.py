"""`streamlog produce`: lines of text, JSON objects or rows of CSV become records."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from streamlog.cli.arguments import natural, pair, positive
from streamlog.cli.moments import TIME_FORMS, time_ms
from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import FILE, TOPIC, add_directory, add_json, add_null, add_progress
from streamlog.cli.output import Output, count_text, size_text
from streamlog.cli.progress import Progress
from streamlog.errors import ConfigError

if TYPE_CHECKING:
    from streamlog.cli.incoming import Chunk, Fields, Lines
    from streamlog.cli.producing import Sender
    from streamlog.clients.stream_log import StreamLog

DESCRIPTION = """\
Write records to a topic, from a file or from standard input until it ends. They are written as
they come, many at a time where many are there.
"""
EPILOG = """\
formats:
  lines  a line is a value, byte for byte without its end (default). With --key-separator, what is
         before the separator is the key. --null TEXT stands for no value or no key at all.
  json   a line is an object as `consume --json` prints it: value or value_base64, and if they are
         there key or key_base64, timestamp, headers. A string is its text, null is none, anything
         else is its JSON.
  csv    a header, then a row a record, with the same columns: value, key, timestamp, headers.
         The cell \\N (--null) is none at all, base64:... is bytes. UTF-8.

With --key-field, --value-field, --time-field or --partition-field fields of other names are taken,
and then only those that are named and "value". `--value-field .` takes the whole object or row.

--acks says when a record counts as written: "all" when the disk has it (survives power loss), 1
when the operating system has it (survives this process), 0 at once.

A line that cannot be a record ends the command and is named; all records before it are written,
and how many they were is said on standard error.

examples:
  streamlog produce events orders orders.txt --create
  printf '42:{"total": 9.5}\\n' | streamlog produce events orders --key-separator :
  tail -F app.log | streamlog produce events logs --acks 1
  streamlog produce events orders orders.jsonl --format json --value-field . --key-field id
  streamlog produce events flights 2013.csv --format csv --value-field . --time-field time_hour
  streamlog consume events orders --json | streamlog produce copy orders --format json --create
"""
_FIELDS = {
    "key": "the key's field (default: key, which may be missing)",
    "value": 'the value\'s field, "." for everything (default: value)',
    "time": f"the timestamp's field (default: timestamp): ms since 1970, or {TIME_FORMS}",
    "partition": "the partition's field (default: none, the key decides)",
}
_EXCLUSIVE = (
    ("key", "key_separator"),
    ("key", "key_field"),
    ("timestamp", "time_field"),
    ("partition", "partition_field"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("topic", metavar=TOPIC, help="where the records go")
    parser.add_argument("file", metavar=FILE, nargs="?", help="default, and -: standard input")
    _configure_reading(parser.add_argument_group("what is read"))
    _configure_writing(parser.add_argument_group("what is written"))
    add_json(parser)
    add_progress(parser)


def _configure_reading(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--format", choices=("lines", "json", "csv"), default="lines")
    group.add_argument(
        "--key-separator", metavar="TEXT", help="a line's key is before the first TEXT in it"
    )
    add_null(group, "no key or value at all (default: no such text; csv: \\N)")
    for name, text in _FIELDS.items():
        group.add_argument(f"--{name}-field", metavar="FIELD", help=text.replace("%", "%%"))


def _configure_writing(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--key", metavar="TEXT", help="the key of every record")
    group.add_argument(
        "--header",
        metavar="NAME=TEXT",
        type=pair,
        action="append",
        default=[],
        help="a header that every record gets as well; may be given several times",
    )
    group.add_argument(
        "--timestamp", metavar="TIME", type=time_ms, help=f"of every record: {TIME_FORMS}"
    )
    group.add_argument(
        "--partition", metavar="N", type=natural, help="write to this one (default: by key)"
    )
    group.add_argument(
        "--acks", choices=("all", "1", "0"), default="all", help="durability (default: all)"
    )
    group.add_argument(
        "--compression",
        choices=("none", "gzip", "snappy", "lz4", "zstd"),
        default="none",
        help="the batches' codec (default: none)",
    )
    group.add_argument(
        "--create", action="store_true", help="create directory and topic when they are not there"
    )
    group.add_argument(
        "--partitions",
        metavar="N",
        type=positive,
        default=1,
        help="how many partitions --create makes (default: 1)",
    )


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Produce; says on stderr what was written, also when it ended early."""
    from streamlog.cli.incoming import lines_of, open_source
    from streamlog.cli.producing import prepare_topic

    fields = _checked_fields(arguments)
    source, size = open_source(arguments.file)
    with source, open_for_writing(arguments.directory, create=arguments.create) as log:
        prepare_topic(log, arguments.topic, arguments.partitions, create=arguments.create)
        sender = _sender(log, arguments)
        with Progress(arguments.progress) as progress:
            pieces = _counted(lines_of(source), progress, size)
            try:
                for chunk in _chunks(pieces, arguments, fields):
                    sender.send(chunk)
            except KeyboardInterrupt:
                sender.interrupted = True
                raise
            finally:
                try:
                    sender.finish()
                finally:
                    _report(arguments, sender, progress, output)
    return 0


def _sender(log: StreamLog, arguments: argparse.Namespace) -> Sender:
    from streamlog.cli.producing import Constants, Sender

    acks = arguments.acks if arguments.acks == "all" else int(arguments.acks)
    producer = log.producer(acks=acks, compression_type=arguments.compression)
    constants = Constants(
        None if arguments.key is None else os.fsencode(arguments.key),
        [(name, os.fsencode(value)) for name, value in arguments.header],
        arguments.timestamp,
        arguments.partition,
    )
    return Sender(producer, arguments.topic, constants)


def _checked_fields(arguments: argparse.Namespace) -> Fields:
    """Which fields are taken. Raises `ConfigError` for options that do not go together."""
    from streamlog.cli.incoming import Fields

    named = {name: getattr(arguments, f"{name}_field") for name in _FIELDS}
    given = frozenset(name for name, field in named.items() if field is not None)
    if arguments.format == "lines" and given:
        raise ConfigError(f"--{min(given)}-field needs --format json or csv")
    if arguments.format != "lines" and arguments.key_separator is not None:
        raise ConfigError("--key-separator needs --format lines; here --key-field names the key")
    if arguments.format == "json" and arguments.null is not None:
        raise ConfigError("--null needs --format lines or csv: JSON has a null of its own")
    if arguments.key_separator == "":
        raise ConfigError("--key-separator is empty")
    for option, other in _EXCLUSIVE:
        if getattr(arguments, option) is not None and getattr(arguments, other) is not None:
            raise ConfigError(f"--{option} and --{other.replace('_', '-')}: one of them")
    if given:
        return Fields(
            named["key"], named["value"] or "value", named["time"], named["partition"], None, given
        )
    return Fields("key", "value", "timestamp", None, "headers", given)


def _chunks(pieces: Lines, arguments: argparse.Namespace, fields: Fields) -> Iterator[Chunk]:
    if arguments.format == "json":
        from streamlog.cli.incoming_json import read_json

        return read_json(pieces, fields)
    if arguments.format == "csv":
        from streamlog.cli.incoming_csv import read_csv

        return read_csv(pieces, fields, "\\N" if arguments.null is None else arguments.null)
    from streamlog.cli.incoming import read_lines

    separator = arguments.key_separator
    return read_lines(
        pieces,
        None if separator is None else os.fsencode(separator),
        None if arguments.null is None else os.fsencode(arguments.null),
    )


def _counted(pieces: Lines, progress: Progress, size: int) -> Lines:
    """The lines, with the bar showing how many bytes of them were sent."""
    done = 0
    for piece in pieces:
        yield piece
        done += sum(map(len, piece)) + len(piece)
        progress.update(min(done, size) if size else done, size)


def _report(
    arguments: argparse.Namespace, sender: Sender, progress: Progress, output: Output
) -> None:
    if arguments.json:
        output.json_object(
            {
                "topic": arguments.topic,
                "records": sender.written,
                "bytes": progress.done,
                "seconds": round(progress.seconds, 6),
                "acks": arguments.acks,
                "interrupted": sender.interrupted,
            }
        )
        return
    durability = {"all": "synced", "1": "written", "0": "sent"}[arguments.acks]
    start = "interrupted; at least " if sender.interrupted else ""
    print(
        f"streamlog produce: {start}{count_text(sender.written, 'record')} {durability} to "
        f"{arguments.topic}, {size_text(progress.done)} in {progress.seconds:.1f} s",
        file=sys.stderr,
    )
