"""`streamlog topics create`."""

from __future__ import annotations

import argparse

from streamlog.cli.arguments import mapping_of, positive
from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import add_config, add_directory, add_json, add_topics
from streamlog.cli.output import Output, count_text

DESCRIPTION = """\
Create topics: all that are named, or none when one of them cannot be. The directory is created
when there is none.
"""
EPILOG = """\
Settings are Kafka's topic settings, dotted or with underscores; a wrong name is refused with the
nearest right one. `streamlog configs describe events orders --all` says what each means.

examples:
  streamlog topics create events orders
  streamlog topics create events orders payments --partitions 3
  streamlog topics create events audit --config message_timestamp_type=LogAppendTime
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, needed=True)
    parser.add_argument(
        "--partitions", metavar="N", type=positive, default=1, help="how many (default: 1)"
    )
    add_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Create topics, all or none."""
    from streamlog.types import NewTopic

    settings = mapping_of(arguments.config)
    wanted = [NewTopic(name, arguments.partitions, settings) for name in arguments.topics]
    with open_for_writing(arguments.directory, create=True) as log:
        created = log.admin.create_topics(wanted)
    for topic in created:
        if arguments.json:
            output.json_object(topic._asdict())
        else:
            output.line(f"created {topic.name} with {count_text(topic.partitions, 'partition')}")
    return 0
