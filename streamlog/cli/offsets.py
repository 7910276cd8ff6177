"""`streamlog offsets`: Kafka's ListOffsets."""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError

from streamlog.cli.moments import OFFSET_WORDS, TIME_FORMS, Moment, time_ms
from streamlog.cli.opening import chosen_partitions, open_for_reading
from streamlog.cli.options import WHEN, add_directory, add_json, add_partitions, add_topics
from streamlog.cli.output import Output

DESCRIPTION = """\
The offsets at which partitions begin and end, or of the first record at or after a time.
"""
EPILOG = f"""\
WHEN is one of Kafka's words: earliest (the first offset that can be read), latest (the offset that
the next record gets), max-timestamp (of the first record with the largest timestamp),
earliest-local, latest-tiered, earliest-pending-upload; or a time:
{TIME_FORMS}. "-" stands for none.

examples:
  streamlog offsets events
  streamlog offsets events orders --partition 0 --time max-timestamp
  streamlog offsets events orders --time 2013-01-31T12:00 --time -1h --json | jq .offset
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser, text="whose offsets")
    add_partitions(parser)
    parser.add_argument(
        "--time",
        dest="times",
        metavar=WHEN,
        type=_when,
        action="append",
        help="may be given several times (default: earliest and latest)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """List offsets."""
    from streamlog.types import OffsetSpec

    times = arguments.times or [_when("earliest"), _when("latest")]
    with open_for_reading(arguments.directory) as log:
        partitions = chosen_partitions(log, arguments.topics, arguments.partitions)
        found = {}
        for text, when in times:
            spec = (
                when.timestamp_ms
                if isinstance(when, Moment)
                else OffsetSpec[when.upper().replace("-", "_")]
            )
            found[text] = log.admin.list_offsets(dict.fromkeys(partitions, spec))
    rows = []
    for partition in partitions:
        offsets = [(text, each[partition]) for text, each in found.items()]
        for text, place in offsets if arguments.json else ():
            described = {"offset": None, "timestamp": None, "leader_epoch": None}
            if place is not None:
                described = place._asdict()
            output.json_object({**partition._asdict(), "time": text, **described})
        rows.append((*partition, *("-" if each is None else each.offset for _, each in offsets)))
    if not arguments.json:
        output.table(("TOPIC", "PARTITION", *(text.upper() for text in found)), rows)
    return 0


def _when(text: str) -> tuple[str, str | Moment]:
    """A word of Kafka's, or a time; with the text itself, which names its column."""
    if text in OFFSET_WORDS:
        return text, text
    try:
        return text, Moment(time_ms(text))
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}; or one of {', '.join(OFFSET_WORDS)}") from None
