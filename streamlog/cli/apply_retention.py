"""`streamlog apply-retention`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import add_directory, add_json, add_topics
from streamlog.cli.output import Output

if TYPE_CHECKING:
    from streamlog.types import TopicPartition

DESCRIPTION = """\
Delete now what retention.ms and retention.bytes do not keep. Programs that have the directory open
do this by themselves every few minutes; nothing is deleted unless a setting says so.
"""
EPILOG = """\
Whole segments go, and never one that holds a record that is not due.

examples:
  streamlog apply-retention events
  streamlog apply-retention events orders --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Apply retention; says which partitions begin elsewhere now."""
    with open_for_writing(arguments.directory) as log:
        names: list[str | None] = [*log.admin.describe_topics(dict.fromkeys(arguments.topics))]
        starts: dict[TopicPartition, int] = {}
        for name in names or [None]:
            starts |= log.admin.apply_retention(name)
    if arguments.json:
        for partition, start in starts.items():
            output.json_object({**partition._asdict(), "log_start": start})
    elif starts:
        output.table(
            ("TOPIC", "PARTITION", "START"),
            [(*partition, start) for partition, start in starts.items()],
        )
    else:
        output.line("nothing is due")
    return 0
