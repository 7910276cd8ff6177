"""The broker settings of group coordinators (facts 9.2): a part of a listener's.

Names, bounds and defaults are Kafka's, with two exceptions. `group_initial_rebalance_delay_ms`
and `group_consumer_assignment_interval_ms` are 0: members that join one after the other cost
rebalances here, which are cheap, and not seconds of waiting.
"""

from __future__ import annotations

import msgspec

from streamlog.config.settings import INT_MAX, Setting

_SESSION = "how long a member of a consumer group may be silent"
_HEARTBEAT = "how often a member of a consumer group is asked to say something"
_INTERVAL = "time between two assignments of a consumer group"

COORDINATOR_SETTINGS = (
    Setting(
        "group_min_session_timeout_ms",
        "int",
        6_000,
        "the shortest session that a member of a classic group may ask for",
    ),
    Setting(
        "group_max_session_timeout_ms",
        "int",
        1_800_000,
        "the longest session that a member of a classic group may ask for",
    ),
    Setting(
        "group_initial_rebalance_delay_ms",
        "int",
        0,
        "how long the first rebalance of a classic group waits for more members",
        0,
    ),
    Setting("group_max_size", "int", INT_MAX, "members of a classic group, at most", 1),
    Setting("group_consumer_session_timeout_ms", "int", 45_000, _SESSION, 1),
    Setting("group_consumer_min_session_timeout_ms", "int", 45_000, f"{_SESSION}, at least", 1),
    Setting("group_consumer_max_session_timeout_ms", "int", 60_000, f"{_SESSION}, at most", 1),
    Setting("group_consumer_heartbeat_interval_ms", "int", 5_000, _HEARTBEAT, 1),
    Setting("group_consumer_min_heartbeat_interval_ms", "int", 5_000, f"{_HEARTBEAT}, at least", 1),
    Setting("group_consumer_max_heartbeat_interval_ms", "int", 15_000, f"{_HEARTBEAT}, at most", 1),
    Setting("group_consumer_assignment_interval_ms", "int", 0, _INTERVAL, 0),
    Setting("group_consumer_min_assignment_interval_ms", "int", 0, f"{_INTERVAL}, at least", 0),
    Setting("group_consumer_max_assignment_interval_ms", "int", 15_000, f"{_INTERVAL}, at most", 0),
    Setting("group_consumer_max_size", "int", INT_MAX, "members of a consumer group, at most", 1),
    Setting(
        "group_consumer_assignors",
        "list",
        ("uniform", "range"),
        "what gives a consumer group's members their partitions, the default first",
        choices=("uniform", "range"),
    ),
    Setting(
        "group_consumer_migration_policy",
        "string",
        "bidirectional",
        "which groups may change their protocol while they have members",
        choices=("bidirectional", "upgrade", "downgrade", "disabled"),
    ),
    Setting(
        "offset_metadata_max_bytes",
        "int",
        4_096,
        "length of what may be committed beside an offset",
        0,
    ),
)


class CoordinatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the coordinators of a process. `*_ms` are milliseconds."""

    group_min_session_timeout_ms: int
    group_max_session_timeout_ms: int
    group_initial_rebalance_delay_ms: int
    group_max_size: int
    group_consumer_session_timeout_ms: int
    group_consumer_min_session_timeout_ms: int
    group_consumer_max_session_timeout_ms: int
    group_consumer_heartbeat_interval_ms: int
    group_consumer_min_heartbeat_interval_ms: int
    group_consumer_max_heartbeat_interval_ms: int
    group_consumer_assignment_interval_ms: int
    group_consumer_min_assignment_interval_ms: int
    group_consumer_max_assignment_interval_ms: int
    group_consumer_max_size: int
    group_consumer_assignors: tuple[str, ...]
    group_consumer_migration_policy: str
    offset_metadata_max_bytes: int
