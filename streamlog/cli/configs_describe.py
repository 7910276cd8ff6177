"""`streamlog configs describe`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from streamlog.cli.opening import chosen_topics, open_for_reading
from streamlog.cli.options import add_directory, add_json, add_topics
from streamlog.cli.output import Output

if TYPE_CHECKING:
    from streamlog.config.config_entry import ConfigEntry

DESCRIPTION = """\
Settings of topics: those that were set, with --all every one there is.
"""
EPILOG = """\
SOURCE says where the value comes from: "topic" (set for it), "node" or "cluster" (set for all
topics by a Kafka broker's tools), "default" (set nowhere). Where a setting has no effect here, its
meaning ends with the reason; it is kept for a broker that takes the directory over.

examples:
  streamlog configs describe events orders
  streamlog configs describe events orders --all
  streamlog configs describe events --json | jq -r 'select(.source == "topic") | .name'
"""
_SOURCES = {
    "DYNAMIC_TOPIC_CONFIG": "topic",
    "DYNAMIC_BROKER_CONFIG": "node",
    "DYNAMIC_DEFAULT_BROKER_CONFIG": "cluster",
    "DEFAULT_CONFIG": "default",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser)
    parser.add_argument("--all", action="store_true", help="also those that were set nowhere")
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Describe the settings of topics."""
    with open_for_reading(arguments.directory) as log:
        described = log.admin.describe_configs(chosen_topics(log, arguments.topics))
    for index, (topic, entries) in enumerate(described.items()):
        chosen = [each for each in entries.values() if arguments.all or _is_set(each)]
        if arguments.json:
            for entry in chosen:
                output.json_object(_as_object(topic, entry))
            continue
        if index:
            output.line()
        output.line(topic)
        if chosen:
            headings = ("  NAME", "VALUE", "SOURCE", "DEFAULT", "MEANING")
            output.table(headings, [_row(entry) for entry in chosen])
        else:
            output.line("  nothing was set (--all shows the defaults)")
    if not described and not arguments.json:
        output.line("no topics")
    return 0


def _is_set(entry: ConfigEntry) -> bool:
    """Whether it was set for the topic, or a broker's tools changed what it is for all."""
    return entry.source == 1 or entry.value != entry.default


def _row(entry: ConfigEntry) -> tuple[str, ...]:
    meaning = entry.documentation
    if _is_idle(entry):
        meaning += f" (no effect here: {entry.reason})"
    return (
        f"  {entry.name}",
        entry.value or '""',
        _SOURCES[entry.source.name],
        entry.default or '""',
        meaning,
    )


def _as_object(topic: str, entry: ConfigEntry) -> dict[str, Any]:
    return {
        "topic": topic,
        "name": entry.name,
        "value": entry.value,
        "source": _SOURCES[entry.source.name],
        "default": entry.default,
        "type": entry.type.name.lower(),
        "allowed": entry.allowed,
        "documentation": entry.documentation,
        "idle": entry.reason if _is_idle(entry) else None,
    }


def _is_idle(entry: ConfigEntry) -> bool:
    return not entry.is_honoured and entry.reason != ""
