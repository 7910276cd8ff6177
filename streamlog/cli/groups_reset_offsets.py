"""`streamlog groups reset-offsets`."""

from __future__ import annotations

import argparse
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Any

from streamlog.cli.moments import TIME_FORMS, Moment, Offset, position
from streamlog.cli.opening import chosen_partitions, open_for_reading, open_for_writing
from streamlog.cli.options import (
    FILE,
    GROUP,
    TOPIC,
    WHERE,
    add_directory,
    add_json,
    add_partitions,
)
from streamlog.cli.output import Output
from streamlog.errors import ConfigError

if TYPE_CHECKING:
    from streamlog.clients.stream_log import StreamLog
    from streamlog.types import TopicPartition

DESCRIPTION = """\
Have a group go on elsewhere: in all partitions of the topics that it has committed for, or in those
that are named. It must have no members. An offset that a partition does not have becomes the
nearest that it has.
"""
EPILOG = f"""\
WHERE is earliest, latest, an offset, or a time: the first record at or after
{TIME_FORMS}.
A FILE has a line for each partition, as Kafka's tool writes it: topic,partition,offset. BEFORE is
where the group would have gone on; "-" stands for nowhere.

examples:
  streamlog groups reset-offsets events billing --to earliest --dry-run
  streamlog groups reset-offsets events billing --to -1h --topic orders
  streamlog groups reset-offsets events billing --shift-by -100 --topic orders --partition 0
  streamlog groups reset-offsets events billing --from-file offsets.csv
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("group", metavar=GROUP, help="its id")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--to", metavar=WHERE, type=position, help="where it is to go on")
    where.add_argument("--shift-by", metavar="N", type=int, help="so many offsets on, or back")
    where.add_argument(
        "--from-file", metavar=FILE, help="where each partition goes on; -: standard input"
    )
    parser.add_argument(
        "--topic",
        dest="topics",
        metavar=TOPIC,
        action="append",
        help="only this topic; may be given several times (default: what it has committed for)",
    )
    add_partitions(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be")
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Reset offsets; says where each partition goes on."""
    if arguments.from_file is not None and (arguments.topics or arguments.partitions):
        raise ConfigError("--from-file names the partitions: give no --topic and no --partition")
    where = _where(arguments)
    open_log = open_for_reading if arguments.dry_run else open_for_writing
    with open_log(arguments.directory) as log:
        resets = log.admin.reset_offsets(
            arguments.group,
            _partitions(log, arguments),
            dry_run=arguments.dry_run,
            **where,
        )
    rows = []
    for place, reset in resets.items():
        if arguments.json:
            output.json_object({**place._asdict(), **reset._asdict()})
        rows.append((*place, "-" if reset.before is None else reset.before, reset.after))
    if not arguments.json:
        output.table(("TOPIC", "PARTITION", "BEFORE", "AFTER"), rows)
    return 0


def _partitions(log: StreamLog, arguments: argparse.Namespace) -> list[TopicPartition] | None:
    if arguments.topics:
        return chosen_partitions(log, arguments.topics, arguments.partitions)
    if arguments.partitions:
        raise ConfigError("--partition is one of a topic: name it (--topic)")
    return None


def _where(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword of `Admin.reset_offsets`."""
    if arguments.from_file is not None:
        return {"offsets": _read(arguments.from_file)}
    if arguments.shift_by is not None:
        return {"shift_by": arguments.shift_by}
    match arguments.to:
        case Offset(offset):
            return {"to_offset": offset}
        case Moment(timestamp_ms):
            return {"to_time_ms": timestamp_ms}
    return {"to": arguments.to}


def _read(name: str) -> dict[TopicPartition, int]:
    """Offsets from a file. Raises `ConfigError` for a line that has none, and for no line."""
    from streamlog.cli.incoming import open_source

    found: dict[TopicPartition, int] = {}
    source, _ = open_source(name)
    with source:
        data = source.read()
    for number, line in enumerate(data.removeprefix(BOM_UTF8).splitlines(), 1):
        if not line.strip():
            continue
        try:
            place, offset = _offset_in(line)
        except ValueError:
            shown = line[:100].decode(errors="backslashreplace")
            raise ConfigError(
                f"{name}, line {number}: not topic,partition,offset in UTF-8: {shown!r}"
            ) from None
        if place in found:
            raise ConfigError(f"{name}, line {number}: {place} for the second time")
        found[place] = offset
    if not found:
        raise ConfigError(f"{name}: a line with topic,partition,offset is expected; there is none")
    return found


def _offset_in(line: bytes) -> tuple[TopicPartition, int]:
    """ValueError for a line that is not topic,partition,offset."""
    from streamlog.types import TopicPartition

    topic, partition, offset = (each.strip().strip('"') for each in line.decode().split(","))
    return TopicPartition(topic, int(partition)), int(offset)
