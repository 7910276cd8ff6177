"""What may come next on a command line: what the completion scripts of all shells ask.

`streamlog __complete WORD... LAST` is called by them with the words up to the cursor, the last of
them unfinished. It prints a candidate a line, with a tab and what it means; where a path is
wanted, `:files` or `:directories`, which shells know how to complete.
Nothing goes to standard error, and whatever cannot be found out has no candidates.
"""

from __future__ import annotations

import os
from argparse import Action
from collections.abc import Iterable
from typing import NamedTuple

from streamlog.cli import options
from streamlog.cli.commands import choose, verbs_after
from streamlog.cli.moments import OFFSET_WORDS
from streamlog.cli.parser import Parser, build_parser
from streamlog.errors import StreamlogError

Candidate = tuple[str, str]
_HELP = ("--help", "what it does, with examples")


def complete(words: list[str]) -> list[Candidate]:
    """The candidates for the last of the words, each with what it means."""
    words = _joined_again(words)
    last = words.pop() if words else ""
    chosen = choose(words)
    if chosen.is_command:
        found = _of_command(build_parser(chosen.name), chosen.rest, last)
    elif chosen.rest:
        found = []  # behind a word that is no command
    else:
        found = [*verbs_after(chosen.name).items(), _HELP]
        found += [] if chosen.name else [("--version", "the version")]
    return [each for each in found if each[0].startswith((last, ":"))]


def _joined_again(words: list[str]) -> list[str]:
    """Bash takes `--from=-1h` for three words."""
    found: list[str] = []
    for index, word in enumerate(words):
        if word == "=" and found and found[-1].startswith("--"):
            if index == len(words) - 1:
                found.append("")
            continue
        found.append(word)
    return found


class _Read(NamedTuple):
    """What was given before the word that is to be completed."""

    positionals: list[str]
    options: set[str]
    waiting: Action | None  # the option whose value comes next
    only_positionals: bool


def _of_command(parser: Parser, given: list[str], last: str) -> Iterable[Candidate]:
    read = _read(parser, given)
    if read.waiting is not None:
        return _values(read.waiting, read)
    if last.startswith("-") and not read.only_positionals:
        name, equals, _ = last.partition("=")
        if not equals:
            return _options(parser, read)
        waiting = _read(parser, [name]).waiting
        values = [] if waiting is None else _values(waiting, read)
        return [(f"{name}={value}", text) for value, text in values if value[:1] != ":"]
    positionals = [action for action in parser._actions if not action.option_strings]
    index = len(read.positionals)
    if index < len(positionals):
        return _values(positionals[index], read)
    if positionals and positionals[-1].nargs in ("*", "+"):
        return _values(positionals[-1], read)
    return [] if read.only_positionals else _options(parser, read)


def _read(parser: Parser, given: list[str]) -> _Read:
    by_name = {name: action for action in parser._actions for name in action.option_strings}
    positionals: list[str] = []
    options: set[str] = set()
    waiting: Action | None = None
    only_positionals = False
    for word in given:
        if waiting is not None:
            waiting = None
        elif word == "--" and not only_positionals:
            only_positionals = True
        elif word.startswith("--") and not only_positionals:
            name, equals, _ = word.partition("=")
            options.add(name)
            action = by_name.get(name)
            if action is not None and action.nargs is None and not equals:
                waiting = action
        else:
            positionals.append(word)
    return _Read(positionals, options, waiting, only_positionals)


def _options(parser: Parser, read: _Read) -> list[Candidate]:
    """Those that were not given yet, or that may be given several times."""
    found = []
    for action in parser._actions:
        repeatable = type(action).__name__ == "_AppendAction"
        if not repeatable and read.options.intersection(action.option_strings):
            continue
        text = (action.help or "").replace("%%", "%")
        found += [(name, text) for name in action.option_strings if name.startswith("--")]
    return found


def _values(action: Action, read: _Read) -> Iterable[Candidate]:
    if action.choices is not None:
        return [(str(choice), "") for choice in action.choices]
    match action.metavar:
        case options.DIRECTORY | options.DESTINATION:
            return [(":directories", "")]
        case options.FILE | options.DIRECTORY_OR_FILE:
            return [(":files", "")]
        case options.TOPIC | options.TOPIC_OR_PARTITION:
            return _topics(read.positionals)
        case options.GROUP:
            return _groups(read.positionals)
        case options.CONFIG:
            return _settings("=")
        case options.CONFIG_NAME:
            return _settings("")
        case options.WHERE:
            return [("earliest", "the first offset there is"), ("latest", "the end")]
        case options.WHEN:
            return [(word, "") for word in OFFSET_WORDS]
    return []


def _topics(positionals: list[str]) -> list[Candidate]:
    """The topics of the directory that was given and are not given yet."""
    from streamlog.cli.opening import open_for_reading
    from streamlog.cli.output import count_text

    if not positionals:
        return []
    directory, *given = positionals
    try:
        with open_for_reading(os.path.expandvars(os.path.expanduser(directory))) as log:
            topics = log.topics()
    except (StreamlogError, OSError):
        return []
    return [
        (name, count_text(topics[name].partitions, "partition"))
        for name in sorted(topics)
        if name not in given
    ]


def _groups(positionals: list[str]) -> list[Candidate]:
    """The groups of the directory that was given and are not given yet."""
    from streamlog.cli.opening import open_for_reading

    if not positionals:
        return []
    directory, *given = positionals
    try:
        with open_for_reading(os.path.expandvars(os.path.expanduser(directory))) as log:
            groups = log.admin.list_groups()
    except (StreamlogError, OSError):
        return []
    return [(each.group_id, each.state) for each in groups if each.group_id not in given]


def _settings(end: str) -> list[Candidate]:
    from streamlog.config.topic_settings import TOPIC_SETTINGS

    return [(setting.dotted + end, setting.doc) for setting in TOPIC_SETTINGS if not setting.hidden]
