"""`streamlog groups describe`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from streamlog.cli.opening import open_for_reading
from streamlog.cli.options import GROUP, add_directory, add_json
from streamlog.cli.output import Output, count_text

if TYPE_CHECKING:
    from streamlog.types import GroupDescription

DESCRIPTION = """\
Groups of consumers: their members, how far each partition was read and what is left to read.
"""
EPILOG = """\
COMMITTED is the offset at which the group goes on, END the one that the next record gets, LAG what
lies between. "-" stands for nothing: not committed yet, or nobody's.

examples:
  streamlog groups describe events
  streamlog groups describe events billing --json | jq '.offsets[].lag'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument("groups", metavar=GROUP, nargs="*", help="its id (default: all)")
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Describe groups."""
    with open_for_reading(arguments.directory) as log:
        found = log.admin.describe_groups(arguments.groups or None)
    for index, group in enumerate(found.values()):
        if arguments.json:
            output.json_object(_as_json(group))
            continue
        if index:
            output.line()
        _describe(group, output)
    if not found and not arguments.json:
        output.line("no groups")
    return 0


def _as_json(group: GroupDescription) -> dict[str, object]:
    members = [
        {**each._asdict(), "assignment": [place._asdict() for place in each.assignment]}
        for each in group.members
    ]
    offsets = [{**place._asdict(), **each._asdict()} for place, each in group.offsets.items()]
    return {**group._asdict(), "members": members, "offsets": offsets}


def _describe(group: GroupDescription, output: Output) -> None:
    assignor = f", {group.assignor}" if group.assignor else ""
    members = count_text(len(group.members), "member")
    output.line(f"{group.group_id}  ({group.type}, {group.state}{assignor}, {members})")
    whose = {place: each for each in group.members for place in each.assignment}
    rows = []
    for place, offset in group.offsets.items():
        member = whose.get(place)
        rows.append(
            (
                *place,
                "-" if offset.committed is None else offset.committed,
                offset.log_end,
                "-" if offset.lag is None else offset.lag,
                "-" if member is None else member.member_id,
                "-" if member is None else member.host,
            )
        )
    if rows:
        headings = ("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST")
        output.table(headings, rows)
    idle = [each.member_id for each in group.members if not each.assignment]
    for member_id in idle:
        output.line(f"{member_id} has nothing")
