"""The command line's grammar: the parser of the command that is asked for, and overviews."""

from __future__ import annotations

import re
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib import import_module
from typing import NoReturn

from streamlog.cli.commands import GROUPS, module_of, verbs_after

_OVERVIEW = """\
usage: streamlog COMMAND DIRECTORY ...

Kafka's core in a directory, with no server to run: topics, producers and consumers over Kafka's
own file format. Any number of processes may use a directory at the same time.

commands:
{commands}

options:
  --help         this text; `streamlog COMMAND --help` has more of each
  --version      the version

examples:
  printf 'one\\ntwo\\n' | streamlog produce events greetings --create
  streamlog consume events greetings
  streamlog consume events greetings --follow --json
  streamlog topics describe events
  streamlog configs alter events greetings --config retention.ms=86400000
  streamlog verify events
  source <(streamlog completion bash)

{exit_codes}"""
_GROUP = """\
usage: streamlog {name} VERB DIRECTORY ...

{text}

verbs:
{verbs}

`streamlog {name} VERB --help` has more of each.

examples:
{examples}

{exit_codes}"""
_EXIT_CODES = """\
exit codes:
  0    done
  1    {one}
  2    the command line is wrong: an option, a name or a value that cannot be
  130  interrupted (Ctrl-C)
"""
_FAILED = "it failed: standard error says why"
_EXAMPLES = {
    "topics": "  streamlog topics create events orders --partitions 3\n"
    "  streamlog topics list events",
    "configs": "  streamlog configs describe events orders --all\n"
    "  streamlog configs alter events orders --config retention.ms=86400000",
    "groups": "  streamlog groups describe events billing\n"
    "  streamlog groups reset-offsets events billing --to earliest --dry-run",
}
_NEGATIVE = re.compile(r"^-\d")


class Parser(ArgumentParser):
    """Says what is wrong in one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def joined(self, words: list[str]) -> list[str]:
        """The words with `--from -1h` as `--from=-1h`: a value like that is no option."""
        takes_one = {
            name
            for action in self._actions
            if action.nargs is None
            for name in action.option_strings
        }
        found: list[str] = []
        for word in words:
            if found and found[-1] in takes_one and _NEGATIVE.match(word):
                found[-1] += f"={word}"
            else:
                found.append(word)
        return found


def build_parser(name: str) -> Parser:
    """The parser of a command; what it parsed has `run(arguments, output)` and `command`."""
    module = import_module(module_of(name))
    exit_codes = _EXIT_CODES.format(one=getattr(module, "EXIT_1", _FAILED))
    parser = Parser(
        prog=f"streamlog {name}",
        description=module.DESCRIPTION,
        epilog=f"{module.EPILOG}\n{exit_codes}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    parser.set_defaults(run=module.run, command=name)
    return parser


def overview(name: str) -> str:
    """The help of everything (""), or of a group of commands."""
    exit_codes = _EXIT_CODES.format(one=_FAILED + ", or something was found (dump, verify)")
    verbs = verbs_after(name)
    width = max(map(len, verbs)) + 2
    listed = "\n".join(
        f"  {verb.ljust(width)}{text[0].lower()}{text[1:].rstrip('.')}"
        for verb, text in verbs.items()
    )
    if not name:
        return _OVERVIEW.format(commands=listed, exit_codes=exit_codes)
    return _GROUP.format(
        name=name,
        text=GROUPS[name],
        verbs=listed,
        examples=_EXAMPLES[name],
        exit_codes=_EXIT_CODES.format(one=_FAILED),
    )
