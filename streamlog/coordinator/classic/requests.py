"""What the versions of the classic requests mean."""

from __future__ import annotations

from typing import Any

from streamlog.coordinator.result import RequestContext

_KNOWN_MEMBER_ID = 4
"""The version since which a dynamic member is sent away to come back with its id (KIP-394)."""


def requires_known_id(request: Any, context: RequestContext) -> bool:
    """Whether a member that has no id yet is to come back with the one that it is given."""
    return (
        not request.member_id
        and request.group_instance_id is None
        and context.api_version >= _KNOWN_MEMBER_ID
    )


def rebalance_timeout_of(request: Any, context: RequestContext) -> int:
    """Version 0 has no rebalance timeout: its session timeout is meant."""
    timeout_ms = request.rebalance_timeout_ms if context.api_version else request.session_timeout_ms
    return int(timeout_ms)
