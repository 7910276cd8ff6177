"""`streamlog topics list`."""

from __future__ import annotations

import argparse

from streamlog.cli.opening import open_for_reading
from streamlog.cli.options import add_directory, add_json
from streamlog.cli.output import Output, settings_text

DESCRIPTION = """\
The names of all topics, with their number of partitions and the settings that were set for them.
"""
EPILOG = """\
examples:
  streamlog topics list events
  streamlog topics list events --json | jq -r .name
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("--internal", action="store_true", help="also Kafka's internal topics")
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """List topics, sorted by name."""
    with open_for_reading(arguments.directory) as log:
        found = log.topics()
    chosen = [
        found[name] for name in sorted(found) if arguments.internal or not found[name].internal
    ]
    if arguments.json:
        for topic in chosen:
            output.json_object(topic._asdict())
    elif chosen:
        rows = [(topic.name, topic.partitions, settings_text(topic.settings)) for topic in chosen]
        output.table(("TOPIC", "PARTITIONS", "SETTINGS"), rows)
    else:
        output.line("no topics")
    return 0
