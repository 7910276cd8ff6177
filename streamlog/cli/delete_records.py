"""`streamlog delete-records`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from streamlog.cli.moments import TIME_FORMS, Moment, Offset, Position, end_position
from streamlog.cli.opening import chosen_partitions, open_for_writing
from streamlog.cli.options import TOPIC, WHERE, add_directory, add_json, add_partitions
from streamlog.cli.output import Output
from streamlog.errors import ConfigError

if TYPE_CHECKING:
    from streamlog.clients.stream_log import StreamLog
    from streamlog.types import TopicPartition

DESCRIPTION = """\
Delete the records of a topic that lie before a place in it, at once and without asking. What is
deleted cannot be read any more, by any process; files go when all that is in them is deleted.
"""
EPILOG = f"""\
WHERE is latest (all that is there), an offset (of one partition), or a time: all records before
the first one at or after {TIME_FORMS}.

examples:
  streamlog delete-records events orders --partition 0 --before 1042
  streamlog delete-records events orders --before 2013-01-31
  streamlog delete-records events orders --before latest
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("topic", metavar=TOPIC, help="its name")
    parser.add_argument("--before", metavar=WHERE, type=end_position, required=True)
    add_partitions(parser)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Delete records; says where each partition begins now."""
    with open_for_writing(arguments.directory) as log:
        partitions = chosen_partitions(log, [arguments.topic], arguments.partitions)
        before = log.admin.beginning_offsets(partitions)
        starts = log.admin.delete_records(_offsets(log, partitions, arguments.before))
    rows = [(*each, starts[each], starts[each] - before[each]) for each in partitions]
    if arguments.json:
        for topic, partition, start, deleted in rows:
            output.json_object(
                {
                    "topic": topic,
                    "partition": partition,
                    "log_start": start,
                    "deleted_offsets": deleted,
                }
            )
    else:
        output.table(("TOPIC", "PARTITION", "START", "DELETED"), rows)
    return 0


def _offsets(
    log: StreamLog, partitions: list[TopicPartition], before: Position
) -> dict[TopicPartition, int]:
    """Where each partition is to begin."""
    if isinstance(before, Offset):
        if len(partitions) > 1:
            raise ConfigError(
                f"an offset is one of {len(partitions)} partitions: choose it (--partition)"
            )
        return dict.fromkeys(partitions, before.offset)
    # The ends come first: a record that is appended meanwhile is not deleted.
    ends = log.admin.end_offsets(partitions)
    if not isinstance(before, Moment):
        return ends
    found = log.admin.list_offsets(dict.fromkeys(partitions, before.timestamp_ms))
    places = {each: found[each] for each in partitions}
    return {each: ends[each] if place is None else place.offset for each, place in places.items()}
