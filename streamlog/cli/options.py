"""The options and arguments that several commands have, each defined once.

What stands for a value (`metavar`) also says how a shell completes it: see `completing`.
"""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from typing import TYPE_CHECKING

from streamlog.cli.arguments import mapping_of, natural, pair
from streamlog.errors import ConfigError

if TYPE_CHECKING:
    from argparse import _ActionsContainer

    from streamlog.config.alterations import AlterConfigOp

DIRECTORY, FILE, DIRECTORY_OR_FILE = "DIRECTORY", "FILE", "DIRECTORY|FILE"
DESTINATION = "DESTINATION"
TOPIC, TOPIC_OR_PARTITION = "TOPIC", "TOPIC[-PARTITION]"
GROUP = "GROUP"
CONFIG, CONFIG_NAME = "NAME=VALUE", "NAME"
WHERE, WHEN = "WHERE", "WHEN"


def add_directory(parser: ArgumentParser) -> None:
    """DIRECTORY, first."""
    parser.add_argument("directory", metavar=DIRECTORY, help="a log directory")


def add_topics(parser: ArgumentParser, *, needed: bool = False, text: str = "its name") -> None:
    """TOPIC, several: at least one when `needed`, else all topics when there is none."""
    if needed:
        parser.add_argument("topics", metavar=TOPIC, nargs="+", help=text)
    else:
        parser.add_argument("topics", metavar=TOPIC, nargs="*", help=f"{text} (default: all)")


def add_partitions(parser: ArgumentParser) -> None:
    """`--partition N`, several times: `arguments.partitions`, None for all."""
    parser.add_argument(
        "--partition",
        dest="partitions",
        metavar="N",
        type=natural,
        action="append",
        help="only this partition; may be given several times (default: all)",
    )


def add_json(parser: ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="JSON for scripts: one object a line")


def add_null(parser: _ActionsContainer, text: str) -> None:
    """`--null TEXT`."""
    parser.add_argument("--null", metavar="TEXT", help=f"what stands for {text}")


def add_progress(parser: ArgumentParser) -> None:
    """`--progress` and `--no-progress`."""
    parser.add_argument(
        "--progress",
        action=BooleanOptionalAction,
        help="show a progress bar on stderr (default: when that is a terminal)",
    )


def add_config(parser: ArgumentParser) -> None:
    """`--config NAME=VALUE`, several times."""
    parser.add_argument(
        "--config",
        metavar=CONFIG,
        type=pair,
        action="append",
        default=[],
        help="a topic setting; may be given several times",
    )


def add_delete_config(parser: ArgumentParser) -> None:
    """`--delete-config NAME`, several times."""
    parser.add_argument(
        "--delete-config",
        metavar=CONFIG_NAME,
        action="append",
        default=[],
        help="a setting that gets its default back; may be given several times",
    )


def config_changes(arguments: Namespace) -> dict[str, AlterConfigOp | str | None]:
    """What `--config`, `--delete-config` and, where there are any, `--append-config` and
    `--subtract-config` ask for, as `Admin.alter_configs` takes it.

    Raises `ConfigError` for a setting that is named twice.
    """
    from streamlog.config.alterations import AlterConfigOp

    found: dict[str, AlterConfigOp | str | None] = {**mapping_of(arguments.config)}
    more: list[tuple[str, AlterConfigOp | None]] = [
        (name.strip(), None) for name in arguments.delete_config
    ]
    for name, value in getattr(arguments, "append_config", ()):
        more.append((name, AlterConfigOp("append", value.strip())))
    for name, value in getattr(arguments, "subtract_config", ()):
        more.append((name, AlterConfigOp("subtract", value.strip())))
    for name, change in more:
        if name in found:
            raise ConfigError(f"{name} is given twice", name=name)
        found[name] = change
    return found
