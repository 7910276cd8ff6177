"""`streamlog groups delete`."""

from __future__ import annotations

import argparse

from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import GROUP, add_directory, add_json
from streamlog.cli.output import Output

DESCRIPTION = """\
Delete groups of consumers and all that they have committed, at once and without asking: none when
one of them has members, or is not there.
"""
EPILOG = """\
examples:
  streamlog groups delete events billing
  streamlog groups delete events billing shipping --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("groups", metavar=GROUP, nargs="+", help="its id")
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Delete groups."""
    names = list(dict.fromkeys(arguments.groups))
    with open_for_writing(arguments.directory) as log:
        log.admin.delete_groups(names)
    output.deleted(names, json=arguments.json)
    return 0
