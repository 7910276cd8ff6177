"""`streamlog verify`: is everything as it should be, and if not, what is wrong where."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from streamlog.cli.options import add_directory, add_json, add_progress
from streamlog.cli.output import Output, count_text, escape, path_text, size_text
from streamlog.cli.progress import Progress

if TYPE_CHECKING:
    from streamlog.storage.finding import Finding

EXIT_1 = "something was found, or it could not be verified: standard error says which"
DESCRIPTION = """\
Check every batch and record, every index entry and every checkpoint of a log directory, and say
what is wrong where. Nothing is changed, and no file is opened for writing. The directory may be
in use by other streamlog processes, not by a Kafka broker.
"""
EPILOG = """\
An "error" is damage, or files that contradict each other. A "warning" is what a crash leaves and
the next opening repairs, or a file that does not belong there.

examples:
  streamlog verify events
  streamlog verify events --json | jq -r 'select(.severity == "error") | .file' | sort -u
  streamlog verify /backups/events --no-progress && echo 'the backup is good'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_json(parser)
    add_progress(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Verify; 1 when anything was found."""
    from streamlog.broker.directory_lock import ReaderLock
    from streamlog.broker.live_states import LiveStates
    from streamlog.storage.filesystem import OS_FILESYSTEM
    from streamlog.storage.verification import verify_directory

    directory = arguments.directory
    _check_is_log_directory(directory)
    findings: list[Finding] = []
    lock = ReaderLock(OS_FILESYSTEM, directory)  # a broker writes without publishing how far
    try:
        with Progress(arguments.progress) as progress:
            for finding in verify_directory(
                OS_FILESYSTEM,
                directory,
                progress.update,
                published=LiveStates(OS_FILESYSTEM, directory),
            ):
                findings.append(finding)
                if arguments.json:
                    output.json_object(_as_object(finding))
            seconds = progress.seconds
    finally:
        lock.close()
    checked = f"{size_text(progress.done)} checked in {seconds:.1f} s"
    summary = f"{_counts(findings)}; {checked}"
    if arguments.json:
        output.flush()
        print(f"streamlog verify: {summary}", file=sys.stderr)
    else:
        if findings:
            output.table(
                ("SEVERITY", "KIND", "WHERE", "WHAT"),
                [_row(finding, directory) for finding in findings],
            )
        output.line(summary)
    return 1 if findings else 0


def _check_is_log_directory(directory: str) -> None:
    """Raises `NotALogDirectoryError` where nothing tells of one; one that lost files is one."""
    from streamlog.errors import NotALogDirectoryError
    from streamlog.storage.names import META, parse_partition_directory

    listing = os.listdir(directory)
    if META not in listing and not any(map(parse_partition_directory, listing)):
        raise NotALogDirectoryError(
            f"{directory} is not a log directory: it has no {META} and no partitions"
        )


def _counts(findings: list[Finding]) -> str:
    if not findings:
        return "clean"
    errors = sum(finding.severity == "error" for finding in findings)
    parts = [(errors, "error"), (len(findings) - errors, "warning")]
    return ", ".join(count_text(count, noun) for count, noun in parts if count)


def _row(finding: Finding, directory: str) -> tuple[str, str, str, str]:
    place = os.path.relpath(finding.file, directory)
    if finding.position >= 0:
        place += f" at byte {finding.position}"
    said = finding.message
    if finding.offset >= 0 and str(finding.offset) not in said:
        said += f" (offset {finding.offset})"
    return finding.severity, finding.kind, path_text(place), escape(said)


def _as_object(finding: Finding) -> dict[str, str | int | None]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "file": path_text(finding.file),
        "position": finding.position if finding.position >= 0 else None,
        "offset": finding.offset if finding.offset >= 0 else None,
        "topic": finding.topic or None,
        "partition": finding.partition if finding.partition >= 0 else None,
        "message": finding.message,
    }
