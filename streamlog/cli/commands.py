"""Every command by its words, with the line that lists it. The words joined are its module.

`topics list` is `topics_list.py`: it has `DESCRIPTION`, `EPILOG`, `configure(parser)` and
`run(arguments, output)`, and is imported when it is asked for.
"""

from __future__ import annotations

from typing import NamedTuple

COMMANDS = {
    "topics list": "the names of all topics",
    "topics create": "create topics, and the directory when there is none",
    "topics describe": "settings and partitions of topics",
    "topics alter": "more partitions, other settings",
    "topics delete": "delete topics and all their records, at once",
    "configs describe": "settings of topics: value, source, default, meaning",
    "configs alter": "change settings of topics",
    "groups list": "all groups of consumers, and what they are doing",
    "groups describe": "members of groups, what they have, how far behind they are",
    "groups reset-offsets": "have a group without members go on elsewhere",
    "groups delete": "delete groups and all that they have committed",
    "produce": "write records: lines, JSON or CSV, of a file or of standard input",
    "consume": "print records, those that are there or also those that come",
    "offsets": "where partitions begin and end, and what is where in time",
    "delete-records": "delete the records before an offset or a time",
    "apply-retention": "delete now what retention settings do not keep",
    "compact": "keep now of each key the latest record alone",
    "dump": "show what is in the files: batches, records, index entries",
    "verify": "check every batch, index and checkpoint; change nothing",
    "backup": "copy a whole log at one instant, while others write to it",
    "serve": "let Kafka's clients in, over the network of this machine",
    "completion": "print what lets bash, zsh or fish complete commands",
}
GROUPS = {
    "topics": "List, create, describe, alter and delete topics.",
    "configs": "Show and change the settings of topics.",
    "groups": "List, describe and delete groups of consumers, and have them go on elsewhere.",
}


class Chosen(NamedTuple):
    """What the first words of a command line name: a command, or the group of several, or none.

    `name` is as far as they go, `rest` what follows.
    """

    name: str
    rest: list[str]

    @property
    def is_command(self) -> bool:
        """Whether it names one, whole."""
        return self.name in COMMANDS


def choose(words: list[str]) -> Chosen:
    """Take the words that name a command off the front."""
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS or name in GROUPS:
            return Chosen(name, words[count:])
    return Chosen("", words)


def verbs_after(name: str) -> dict[str, str]:
    """What may come next, with its line: of a group its verbs; of "" all first words."""
    if name:
        return {
            command.removeprefix(f"{name} "): text
            for command, text in COMMANDS.items()
            if command.startswith(f"{name} ")
        }
    found: dict[str, str] = {}
    for command, text in COMMANDS.items():
        first = command.split()[0]
        found[first] = GROUPS.get(first, text)
    return found


def module_of(name: str) -> str:
    """The module of a command."""
    return "streamlog.cli." + name.replace(" ", "_").replace("-", "_")
