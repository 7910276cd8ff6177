"""`streamlog dump`: what is in the files, byte for byte."""

from __future__ import annotations

import argparse
import os
import sys

from streamlog.cli.arguments import natural, positive
from streamlog.cli.options import DIRECTORY_OR_FILE, TOPIC_OR_PARTITION, add_json
from streamlog.cli.output import Output, count_text
from streamlog.errors import ConfigError

EXIT_1 = "a place is damaged, or it failed: standard error says which"
DESCRIPTION = """\
Show the record batches of a log directory, with --records their records, or the entries of one
of its files. Nothing is changed or locked: the directory may be in use, or damaged. Where bytes
do not check, dump says so and goes on behind them (and ends with exit code 1).
"""
EPILOG = """\
files that can be dumped by themselves:
  .log .torn .checkpoint            batches and records
  .index .timeindex .txnindex       index entries
  .snapshot                         state of idempotent producers
  *-checkpoint, partition.metadata, *.properties, quorum-state

Control records and the records of __cluster_metadata, __consumer_offsets and __transaction_state
are shown by name with their fields; those of the metadata log without asking for --records.

examples:
  streamlog dump events                                    # all batches of all partitions
  streamlog dump events orders --records --limit 10        # the first ten records of a topic
  streamlog dump events orders-2 --from 5000 --until 5100  # from one offset up to another
  streamlog dump events __cluster_metadata                 # topics as they were created and deleted
  streamlog dump events/orders-0/00000000000000000000.timeindex
  streamlog dump events --records --json | jq -r 'select(.type == "record") | .key'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("path", metavar=DIRECTORY_OR_FILE, help="a log directory, or a file in one")
    parser.add_argument(
        "topic", metavar=TOPIC_OR_PARTITION, nargs="?", help="only this topic, or this partition"
    )
    parser.add_argument(
        "--records", action=argparse.BooleanOptionalAction, help="show the records of the batches"
    )
    parser.add_argument(
        "--from",
        dest="from_offset",
        metavar="OFFSET",
        type=natural,
        default=0,
        help="begin with the batch that has this offset",
    )
    parser.add_argument(
        "--until",
        dest="to_offset",
        metavar="OFFSET",
        type=natural,
        help="end before this offset",
    )
    parser.add_argument(
        "--limit", metavar="N", type=positive, help="at most N records (batches without --records)"
    )
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Dump; 1 when something did not check."""
    from streamlog.cli.dump_json import JsonDump
    from streamlog.cli.dump_text import TextDump
    from streamlog.cli.dumping import Dump, Wanted

    wanted = Wanted(arguments.records, arguments.from_offset, arguments.to_offset, arguments.limit)
    dump = Dump(JsonDump(output) if arguments.json else TextDump(output), wanted)
    if os.path.isdir(arguments.path):
        dump.directory(arguments.path, arguments.topic)
    elif arguments.topic is not None:
        raise ConfigError(f"{arguments.path} is no directory: a topic needs one")
    else:
        os.stat(arguments.path)
        dump.file(arguments.path)
    if dump.damaged:
        output.flush()
        print(
            f"streamlog dump: {count_text(dump.damaged, 'damaged place')}; "
            "`streamlog verify` checks the whole directory",
            file=sys.stderr,
        )
        return 1
    return 0
