"""Settings of what is no topic: ConfigRecords of the metadata log, as in Kafka.

`kind` is Kafka's type of resource: BROKER or GROUP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streamlog.broker import metadata_records
from streamlog.broker.typed_errors import typed_errors
from streamlog.errors import ConfigError

if TYPE_CHECKING:
    from streamlog.broker.metadata_image import MetadataImage
    from streamlog.broker.metadata_log import MetadataLog
    from streamlog.config.alterations import AlterConfigOp


def keep_settings(
    metadata: MetadataLog,
    kind: int,
    name: str,
    wanted: Mapping[str, str | None],
    *,
    validate_only: bool = False,
) -> None:
    """Set what has a text and delete what has None, in one batch; nothing where nothing differs."""

    def decide(image: MetadataImage) -> list[Any]:
        own = image.settings.get((kind, name), {})
        different = {setting: text for setting, text in wanted.items() if own.get(setting) != text}
        return metadata_records.configured(kind, name, different)

    with typed_errors(metadata.log.directory):
        metadata.change(decide, validate_only=validate_only)


def value_to_set(name: str, change: AlterConfigOp) -> str | None:
    """What a setting that is no list is to be; None deletes it. Raises `ConfigError`."""
    if change.operation == "delete":
        return None
    if change.operation != "set":
        raise ConfigError(
            f"{name} is no list, which {change.operation} is for", name=name, allowed="set"
        )
    return str(change.value)
