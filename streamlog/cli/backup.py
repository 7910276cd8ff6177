"""`streamlog backup`: a copy of a whole log as it is at one instant, while others write to it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from streamlog.cli.opening import open_for_writing
from streamlog.cli.options import DESTINATION, add_directory, add_json, add_progress
from streamlog.cli.output import Output, count_text, path_text, size_text
from streamlog.cli.progress import Progress

if TYPE_CHECKING:
    from streamlog.types import BackupReport

DESCRIPTION = """\
Copy a whole log directory as it is at one instant, while other streamlog processes write, delete
and compact. The copy is a log directory that was closed cleanly: to restore it, open it, or move it
to where the log was. A Kafka broker may be started on it as well.

A former backup of the same log is replaced at once, when the new one is on the disk; sealed
segments that it has are not copied again, only those that each partition appends to. On one file
system sealed segments are hard links, which take no room.
"""
EPILOG = """\
Where no backup could be made, a former one is as it was.

examples:
  streamlog backup events /backups/events
  streamlog backup events /backups/events --json | jq .bytes_copied
  streamlog verify /backups/events
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    parser.add_argument(
        "destination",
        metavar=DESTINATION,
        help="a directory that is not there, is empty, or holds a backup of this log",
    )
    parser.add_argument(
        "--no-link",
        dest="link",
        action="store_false",
        help="copy sealed segments where they could be hard links",
    )
    add_json(parser)
    add_progress(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Back up; 0, or an error is raised."""
    with (
        open_for_writing(arguments.directory) as log,
        Progress(arguments.progress) as progress,
    ):
        report = log.backup(arguments.destination, progress=progress.update, link=arguments.link)
        seconds = progress.seconds
    if arguments.json:
        output.json_object(_as_object(report))
    else:
        output.line(
            f"{path_text(report.path)}: {count_text(len(report.ends), 'partition')}; "
            f"{count_text(report.segments_linked, 'segment')} linked "
            f"({size_text(report.bytes_linked)}), {count_text(report.segments_copied, 'segment')} "
            f"copied, {size_text(report.bytes_copied)} written in {seconds:.1f} s"
        )
    return 0


def _as_object(report: BackupReport) -> dict[str, object]:
    return {
        **report._asdict(),
        "path": path_text(report.path),
        "ends": [
            {"topic": place.topic, "partition": place.partition, "end": end}
            for place, end in report.ends.items()
        ],
    }
