"""`streamlog topics delete`."""

from __future__ import annotations

import argparse

from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import add_directory, add_json, add_topics
from streamlog.cli.output import Output

DESCRIPTION = """\
Delete topics and all their records, at once and without asking: all that are named, or none when
one of them is not there.
"""
EPILOG = """\
examples:
  streamlog topics delete events orders
  streamlog topics delete events orders payments --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, needed=True)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Delete topics, all or none."""
    names = list(dict.fromkeys(arguments.topics))
    with open_for_writing(arguments.directory) as log:
        log.admin.delete_topics(names)
    output.deleted(names, json=arguments.json)
    return 0
