"""`streamlog groups list`."""

from __future__ import annotations

import argparse

from streamlog.cli.opening import open_for_reading
from streamlog.cli.options import add_directory, add_json
from streamlog.cli.output import Output

DESCRIPTION = """\
All groups of consumers: their protocol, and what they are doing.
"""
EPILOG = """\
TYPE is the protocol: "consumer" (KIP-848) or "classic". STATE is Kafka's word: Empty has no
members, Stable has all that it is to have.

examples:
  streamlog groups list events
  streamlog groups list events --state Stable --json | jq -r .group_id
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument(
        "--state",
        dest="states",
        metavar="STATE",
        action="append",
        default=[],
        help="only groups in this state; may be given several times (default: all)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """List groups, sorted by id."""
    with open_for_reading(arguments.directory) as log:
        found = log.admin.list_groups(states=arguments.states)
    if arguments.json:
        for group in found:
            output.json_object(group._asdict())
    elif found:
        rows = [(each.group_id, each.type, each.state) for each in found]
        output.table(("GROUP", "TYPE", "STATE"), rows)
    else:
        output.line("no groups")
    return 0
