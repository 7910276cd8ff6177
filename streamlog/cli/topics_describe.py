"""`streamlog topics describe`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from streamlog.cli.opening import open_for_reading
from streamlog.cli.options import add_directory, add_json, add_topics
from streamlog.cli.output import Output, size_text

if TYPE_CHECKING:
    from streamlog.config.config_entry import ConfigEntry
    from streamlog.types import LogDirDescription, PartitionDescription, TopicDescription

DESCRIPTION = """\
Settings and partitions of topics.
"""
EPILOG = """\
START is the first offset that can be read, END the next one to be written, SIZE what the records
take in the files. STATE is "ok", or what happened to a partition whose sync failed.

examples:
  streamlog topics describe events
  streamlog topics describe events orders --json | jq '.partitions[].log_end'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_directory(parser)
    add_topics(parser)
    add_json(parser)


def run(arguments: argparse.Namespace, output: Output) -> int:
    """Describe topics and their partitions."""
    with open_for_reading(arguments.directory) as log:
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
