"""`streamlog configs alter`."""

from __future__ import annotations

import argparse

from streamlog.cli.arguments import pair
from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import (
    CONFIG,
    add_config,
    add_delete_config,
    add_directory,
    add_json,
    add_topics,
    config_changes,
)
from streamlog.cli.output import Output, settings_text
from streamlog.errors import ConfigError

DESCRIPTION = """\
Change settings of topics: all that is asked for all of them, or nothing when a part of it cannot
be. Settings that are not named stay as they are. Programs that have the directory open obey at
once.
"""
EPILOG = """\
examples:
  streamlog configs alter events orders --config retention.ms=86400000
  streamlog configs alter events orders payments --append-config cleanup.policy=compact
  streamlog configs alter events orders --delete-config retention.ms
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, needed=True)
    add_config(parser)
    add_delete_config(parser)
    for word, text in (("append", "items to add to"), ("subtract", "items to take out of")):
        parser.add_argument(
            f"--{word}-config",
            metavar=CONFIG,
            type=pair,
            action="append",
            default=[],
            help=f"{text} a setting that is a list, as cleanup.policy is",
        )
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Alter settings, all or none."""
    changes = config_changes(arguments)
    if not changes:
        raise ConfigError(
            "nothing to alter: give --config, --delete-config, --append-config or --subtract-config"
        )
    with open_for_writing(arguments.directory) as log:
        altered = log.admin.alter_configs(dict.fromkeys(arguments.topics, changes))
    for topic in altered:
        if arguments.json:
            output.json_object(topic._asdict())
        else:
            output.line(f"altered {topic.name}: {settings_text(topic.settings)}")
    return 0
