"""`streamlog compact`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from streamlog.cli.opening import chosen_topics, open_for_writing
from streamlog.cli.options import add_directory, add_json, add_topics
from streamlog.cli.output import Output, size_text

if TYPE_CHECKING:
    from streamlog.clients.stream_log import StreamLog
    from streamlog.types import PartitionCompaction, TopicPartition

DESCRIPTION = """\
Compact topics now: of each key the latest record stays, with its offset. Programs that have the
directory open do this by themselves when settings ask for it; they may append and read meanwhile.
"""
EPILOG = """\
Topics whose cleanup.policy has "compact" in it; without any that are named, all of those. BEFORE
and AFTER count the records that were looked at and those that stayed, DIRTY is the offset up to
which this has been done: what follows is too young (min.compaction.lag.ms), or belongs to a
transaction that is not decided. A deleted key is remembered for delete.retention.ms.

examples:
  streamlog configs alter events accounts --config cleanup.policy=compact
  streamlog compact events accounts
  streamlog compact events --json | jq '.bytes_before - .bytes_after'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Compact topics, one after the other; says what came of each when it is done."""
    rows = []
    with open_for_writing(arguments.directory) as log:
        names = [
            name
            for name in chosen_topics(log, arguments.topics)
            if arguments.topics or _is_compacted(log, name)
        ]
        for name in names:
            for partition, outcome in log.admin.compact(name).items():
                if arguments.json:
                    output.json_object({**partition._asdict(), **outcome._asdict()})
                else:
                    rows.append(_row(partition, outcome))
            output.flush()
    if rows:
        headings = ("TOPIC", "PARTITION", "BEFORE", "AFTER", "BYTES BEFORE", "BYTES AFTER", "DIRTY")
        output.table(headings, rows)
    elif not arguments.json:
        output.line(
            "there is nothing to compact" if names else "no topic is compacted (cleanup.policy)"
        )
    return 0


def _is_compacted(log: StreamLog, name: str) -> bool:
    policy = log.admin.describe_configs([name])[name]["cleanup.policy"].value
    return "compact" in policy.split(",")


def _row(partition: TopicPartition, outcome: PartitionCompaction) -> tuple[object, ...]:
    return (
        *partition,
        outcome.records_before,
        outcome.records_after,
        size_text(outcome.bytes_before),
        size_text(outcome.bytes_after),
        outcome.first_dirty_offset,
    )
