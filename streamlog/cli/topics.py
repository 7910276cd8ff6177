"""`streamlog topics`: list, create, describe, delete."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from streamlog.cli.arguments import add_json, positive, setting, settings_of
from streamlog.cli.output import Output, count_text, size_text

if TYPE_CHECKING:
    from streamlog.config.config_entry import ConfigEntry
    from streamlog.types import LogDirDescription, PartitionDescription, TopicDescription

DESCRIPTION = """\
List, create, describe and delete topics.
"""
EPILOG = """\
examples:
  streamlog topics list events
  streamlog topics create events orders --partitions 3
  streamlog topics create events audit --config compression.type=zstd
  streamlog topics describe events orders
  streamlog topics delete events orders

`streamlog topics VERB --help` has more of each.
"""
_CREATE_EPILOG = """\
The directory is created when there is none. Settings are Kafka's topic settings, dotted or with
underscores; a wrong name is refused with the nearest right one.

examples:
  streamlog topics create events orders
  streamlog topics create events orders payments --partitions 3
  streamlog topics create events audit --config message_timestamp_type=LogAppendTime
"""
_DESCRIBE_EPILOG = """\
START is the first offset that can be read, END the next one to be written, SIZE what the records
take in the files. STATE is "ok", or what happened to a partition whose sync failed.

examples:
  streamlog topics describe events
  streamlog topics describe events orders --json | jq '.partitions[].log_end'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's verbs."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="topics_verb")
    listing = _add(verbs, "list", "the names of all topics", "streamlog topics list events")
    listing.add_argument("--internal", action="store_true", help="also Kafka's internal topics")
    listing.set_defaults(run=run_list)
    create = _add(verbs, "create", "create topics", _CREATE_EPILOG)
    create.add_argument("topics", metavar="TOPIC", nargs="+", help="its name")
    create.add_argument(
        "--partitions", metavar="N", type=positive, default=1, help="how many (default: 1)"
    )
    create.add_argument(
        "--config",
        metavar="NAME=VALUE",
        type=setting,
        action="append",
        default=[],
        help="a topic setting; may be given several times",
    )
    create.set_defaults(run=run_create)
    describe = _add(verbs, "describe", "settings and partitions of topics", _DESCRIBE_EPILOG)
    describe.add_argument("topics", metavar="TOPIC", nargs="*", help="its name (default: all)")
    describe.set_defaults(run=run_describe)
    delete = _add(
        verbs,
        "delete",
        "delete topics and all their records, at once",
        "examples:\n  streamlog topics delete events orders\n",
    )
    delete.add_argument("topics", metavar="TOPIC", nargs="+", help="its name")
    delete.set_defaults(run=run_delete)


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, epilog: str
) -> argparse.ArgumentParser:
    if not epilog.endswith("\n"):
        epilog = f"examples:\n  {epilog}\n"
    parser = verbs.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directory", metavar="DIRECTORY", help="a log directory")
    add_json(parser)
    return parser


def run_list(arguments: argparse.Namespace, output: Output) -> int:
    """List topics."""
    import streamlog

    with streamlog.open(arguments.directory, create=False, read_only=True) as log:
        names = log.admin.list_topics(internal=arguments.internal)
        found = log.topics()
    chosen = [found[name] for name in names if name in found]
    if arguments.json:
        for topic in chosen:
            output.json_object(topic._asdict())
    elif chosen:
        rows = [(topic.name, topic.partitions, _settings(topic)) for topic in chosen]
        output.table(("TOPIC", "PARTITIONS", "SETTINGS"), rows)
    else:
        output.line("no topics")
    return 0


def run_create(arguments: argparse.Namespace, output: Output) -> int:
    """Create topics, one after the other."""
    import streamlog

    settings = settings_of(arguments.config)
    with streamlog.open(arguments.directory, housekeeping=False) as log:
        for name in arguments.topics:
            topic = log.create_topic(name, arguments.partitions, **settings)
            if arguments.json:
                output.json_object(topic._asdict())
            else:
                partitions = count_text(topic.partitions, "partition")
                output.line(f"created {topic.name} with {partitions}")
    return 0


def run_describe(arguments: argparse.Namespace, output: Output) -> int:
    """Describe topics and their partitions."""
    import streamlog

    with streamlog.open(arguments.directory, create=False, read_only=True) as log:
        names = arguments.topics or log.admin.list_topics(internal=True)
        for index, topic in enumerate(log.admin.describe_topics(names).values()):
            (directory,) = log.admin.describe_log_dirs([topic.name]).values()
            described = [
                _partition(each, directory) for each in log.admin.describe_partitions(topic.name)
            ]
            configs = log.admin.describe_configs([topic.name])[topic.name]
            if arguments.json:
                idle = {
                    name: configs[name].reason for name in topic.settings if _idle(configs[name])
                }
                output.json_object({**topic._asdict(), "idle": idle, "partitions": described})
            else:
                if index:
                    output.line()
                _describe(topic, configs, described, output)
        if not names and not arguments.json:
            output.line("no topics")
    return 0


def run_delete(arguments: argparse.Namespace, output: Output) -> int:
    """Delete topics; none when one of them is not there."""
    import streamlog

    os.stat(arguments.directory)
    with streamlog.open(arguments.directory, create=False, housekeeping=False) as log:
        log.admin.describe_topics(arguments.topics)
        for name in arguments.topics:
            log.delete_topic(name)
            if arguments.json:
                output.json_object({"deleted": name})
            else:
                output.line(f"deleted {name}")
    return 0


def _partition(partition: PartitionDescription, directory: LogDirDescription) -> dict[str, Any]:
    """What there is to say of a partition. How far it is synced a reader cannot know."""
    from streamlog.types import TopicPartition

    place = TopicPartition(partition.topic, partition.partition)
    return {
        "partition": partition.partition,
        "leader_epoch": partition.leader_epoch,
        "log_start": partition.log_start,
        "log_end": partition.log_end,
        "high_watermark": partition.high_watermark,
        "size": directory.replica_infos[place].size,
        "poisoned": os.strerror(partition.poisoned) if partition.poisoned else None,
    }


def _describe(
    topic: TopicDescription,
    configs: dict[str, ConfigEntry],
    partitions: list[dict[str, Any]],
    output: Output,
) -> None:
    kind = ", internal" if topic.internal else ""
    output.line(f"{topic.name}  (id {topic.topic_id}{kind})")
    for entry in configs.values():
        if entry.name in topic.settings:
            note = f"  (no effect here: {entry.reason})" if _idle(entry) else ""
            output.line(f"  {entry.name}={entry.value}{note}")
        elif entry.value != entry.default:
            output.line(f"  {entry.name}={entry.value}  (a broker's default, for all topics)")
    rows = [
        (
            each["partition"],
            each["log_start"],
            each["log_end"],
            each["log_end"] - each["log_start"],
            size_text(each["size"]),
            each["leader_epoch"],
            f"a sync failed: {each['poisoned']}" if each["poisoned"] else "ok",
        )
        for each in partitions
    ]
    output.table(("PARTITION", "START", "END", "RECORDS", "SIZE", "EPOCH", "STATE"), rows)


def _idle(entry: ConfigEntry) -> bool:
    """Whether a setting is only kept for a broker that takes the directory over."""
    return not entry.is_honoured and entry.reason != ""


def _settings(topic: TopicDescription) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(topic.settings.items())) or "-"
