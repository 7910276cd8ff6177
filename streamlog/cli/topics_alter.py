"""`streamlog topics alter`."""

from __future__ import annotations

import argparse

from streamlog.cli.arguments import positive
from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import (
    add_config,
    add_delete_config,
    add_directory,
    add_json,
    add_topics,
    config_changes,
)
from streamlog.cli.output import Output, count_text, settings_text
from streamlog.errors import ConfigError

DESCRIPTION = """\
Let topics have more partitions or other settings. Everything is checked first; nothing is changed
when a part of it cannot be. Programs that have the directory open obey at once.
"""
EPILOG = """\
The number of partitions can only grow; records stay where they are, and keys are spread over the
new number from then on.

examples:
  streamlog topics alter events orders --partitions 6
  streamlog topics alter events orders payments --config retention.ms=86400000
  streamlog topics alter events orders --delete-config retention.ms
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, needed=True)
    parser.add_argument("--partitions", metavar="N", type=positive, help="how many in total")
    add_config(parser)
    add_delete_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Alter topics: settings first, in one step, then partitions, in another."""
    changes = config_changes(arguments)
    names = list(dict.fromkeys(arguments.topics))
    if not changes and arguments.partitions is None:
        raise ConfigError("nothing to alter: give --partitions, --config or --delete-config")
    configs = dict.fromkeys(names, changes) if changes else {}
    totals = {} if arguments.partitions is None else dict.fromkeys(names, arguments.partitions)
    with open_for_writing(arguments.directory) as log:
        log.admin.create_partitions(totals, validate_only=True)
        if configs:
            log.admin.alter_configs(configs)
        log.admin.create_partitions(totals)
        altered = log.admin.describe_topics(names)
    for topic in altered.values():
        if arguments.json:
            output.json_object(topic._asdict())
        else:
            now = [count_text(topic.partitions, "partition")]
            now += [settings_text(topic.settings)] if topic.settings else []
            output.line(f"altered {topic.name}: {', '.join(now)}")
    return 0
