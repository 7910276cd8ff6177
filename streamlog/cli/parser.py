"""The command line's grammar: one sub-parser a verb, each configured by the verb's own module."""

from __future__ import annotations

import argparse

from streamlog import __version__
from streamlog.cli import consume, dump, produce, topics, verify
from streamlog.cli.arguments import Parser

_DESCRIPTION = """\
Kafka's core in a directory, with no server to run: topics, producers and consumers over Kafka's
own file format. Any number of processes may use a directory at the same time.
"""
_EPILOG = """\
examples:
  printf 'one\\ntwo\\n' | streamlog produce events greetings --create
  streamlog consume events greetings
  streamlog consume events greetings --follow --json
  streamlog topics describe events
  streamlog dump events greetings --records
  streamlog verify events

`streamlog VERB --help` has more of each. The exit code is 0, 1 when damage was found, 2 when the
command could not be done, 130 after Ctrl-C.
"""
_VERBS = {
    "topics": (topics, "list, create, describe and delete topics"),
    "produce": (produce, "write the lines of a file or of standard input as records"),
    "consume": (consume, "print records, those that are there or also those that come"),
    "dump": (dump, "show what is in the files: batches, records, index entries"),
    "verify": (verify, "check every batch, index and checkpoint; change nothing"),
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs; what it parsed has `run(arguments, output)`."""
    parser = Parser(
        prog="streamlog",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"streamlog {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    for name, (module, text) in _VERBS.items():
        module.configure(
            verbs.add_parser(
                name,
                help=text,
                formatter_class=argparse.RawDescriptionHelpFormatter,
                allow_abbrev=False,
            )
        )
    return parser
