"""What a group coordinator can be told: Kafka's broker settings, and a group's own overrides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from streamlog.errors import ConfigError, UnknownSettingError

MigrationPolicy = Literal["bidirectional", "upgrade", "downgrade", "disabled"]

_UNBOUNDED = 2**31 - 1

CONSUMER_SESSION_TIMEOUT_MS = "consumer.session.timeout.ms"
CONSUMER_HEARTBEAT_INTERVAL_MS = "consumer.heartbeat.interval.ms"
CONSUMER_ASSIGNMENT_INTERVAL_MS = "consumer.assignment.interval.ms"


def _no_overrides(group_id: str) -> Mapping[str, str]:  # noqa: ARG001  # the signature is the point
    return {}


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Kafka's settings of the same names, in milliseconds, with Kafka's defaults.

    Where Kafka has a default that deletes, there is none: `offsets_retention_ms` None keeps
    offsets for ever. `group_overrides` gives a group's own settings by Kafka's dotted names
    (resource type GROUP). Raises `ConfigError` when a value lies outside its bounds.
    """

    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 1_800_000
    group_initial_rebalance_delay_ms: int = 3_000
    group_max_size: int = _UNBOUNDED
    group_new_member_join_timeout_ms: int = 300_000

    group_consumer_session_timeout_ms: int = 45_000
    group_consumer_min_session_timeout_ms: int = 45_000
    group_consumer_max_session_timeout_ms: int = 60_000
    group_consumer_heartbeat_interval_ms: int = 5_000
    group_consumer_min_heartbeat_interval_ms: int = 5_000
    group_consumer_max_heartbeat_interval_ms: int = 15_000
    group_consumer_assignment_interval_ms: int = 1_000
    group_consumer_min_assignment_interval_ms: int = 0
    group_consumer_max_assignment_interval_ms: int = 15_000
    group_consumer_max_size: int = _UNBOUNDED
    group_consumer_assignors: tuple[str, ...] = ("uniform", "range")
    group_consumer_migration_policy: MigrationPolicy = "bidirectional"

    offset_metadata_max_bytes: int = 4_096
    offsets_retention_ms: int | None = None

    group_overrides: Callable[[str], Mapping[str, str]] = _no_overrides

    def __post_init__(self) -> None:
        if self.group_min_session_timeout_ms > self.group_max_session_timeout_ms:
            raise ConfigError(
                "group_min_session_timeout_ms is above group_max_session_timeout_ms",
                name="group_min_session_timeout_ms",
                value=self.group_min_session_timeout_ms,
            )
        if not self.group_consumer_assignors:
            raise ConfigError(
                "group_consumer_assignors needs at least one assignor",
                name="group_consumer_assignors",
            )
        for name, (value, low, high) in self.bounded().items():
            _check_bounds(name, value, low, high)

    @property
    def upgrade_enabled(self) -> bool:
        """Whether a classic group with members may become a consumer group."""
        return self.group_consumer_migration_policy in ("bidirectional", "upgrade")

    @property
    def downgrade_enabled(self) -> bool:
        """Whether a consumer group may become a classic group."""
        return self.group_consumer_migration_policy in ("bidirectional", "downgrade")

    def consumer_session_timeout_ms(self, group_id: str) -> int:
        return self._group_value(group_id, CONSUMER_SESSION_TIMEOUT_MS)

    def consumer_heartbeat_interval_ms(self, group_id: str) -> int:
        return self._group_value(group_id, CONSUMER_HEARTBEAT_INTERVAL_MS)

    def consumer_assignment_interval_ms(self, group_id: str) -> int:
        return self._group_value(group_id, CONSUMER_ASSIGNMENT_INTERVAL_MS)

    def check_group_setting(self, name: str, text: str) -> int:
        """The value of a group's setting. ConfigError unless it lies within the bounds."""
        bounds = self.bounded().get(name)
        if bounds is None:
            raise UnknownSettingError(f"a consumer group has no setting {name!r}", name=name)
        try:
            value = int(text)
        except ValueError:
            raise ConfigError(f"{name} is a whole number, not {text!r}", name=name) from None
        _check_bounds(name, value, bounds[1], bounds[2])
        return value

    def _group_value(self, group_id: str, name: str) -> int:
        """The group's override, kept within bounds that may have changed since it was set."""
        default, low, high = self.bounded()[name]
        override = self.group_overrides(group_id).get(name)
        return default if override is None else min(max(int(override), low), high)

    def bounded(self) -> dict[str, tuple[int, int, int]]:
        """(default, least, most) of each setting that a group can have of its own."""
        return {
            CONSUMER_SESSION_TIMEOUT_MS: (
                self.group_consumer_session_timeout_ms,
                self.group_consumer_min_session_timeout_ms,
                self.group_consumer_max_session_timeout_ms,
            ),
            CONSUMER_HEARTBEAT_INTERVAL_MS: (
                self.group_consumer_heartbeat_interval_ms,
                self.group_consumer_min_heartbeat_interval_ms,
                self.group_consumer_max_heartbeat_interval_ms,
            ),
            CONSUMER_ASSIGNMENT_INTERVAL_MS: (
                self.group_consumer_assignment_interval_ms,
                self.group_consumer_min_assignment_interval_ms,
                self.group_consumer_max_assignment_interval_ms,
            ),
        }


def _check_bounds(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(
            f"{name} must lie between {low} and {high}, not {value}", name=name, value=value
        )
