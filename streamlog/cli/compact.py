"""`streamlog compact`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import add_directory, add_json, add_topics
from streamlog.cli.output import Output, size_text

if TYPE_CHECKING:
    from streamlog.types import PartitionCompaction, TopicPartition

DESCRIPTION = """\
Compact topics now: of each key the latest record stays, with its offset. Programs that have the
directory open do this by themselves where min.cleanable.dirty.ratio asks for it.
"""
EPILOG = """\
For topics whose cleanup.policy has "compact". Others may write and read meanwhile.

examples:
  streamlog compact events customers
  streamlog compact events customers --json | jq .records_after
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, needed=True)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Compact; says what each partition came to."""
    done: dict[TopicPartition, PartitionCompaction] = {}
    with open_for_writing(arguments.directory) as log:
        for name in log.admin.describe_topics(dict.fromkeys(arguments.topics)):
            done |= log.admin.compact(name)
    if arguments.json:
        for partition, result in done.items():
            output.json_object({**partition._asdict(), **result._asdict()})
    else:
        output.table(
            ("TOPIC", "PARTITION", "RECORDS", "KEPT", "SIZE", "KEPT"),
            [
                (
                    *partition,
                    result.records_before,
                    result.records_after,
                    size_text(result.bytes_before),
                    size_text(result.bytes_after),
                )
                for partition, result in done.items()
            ],
        )
    return 0
