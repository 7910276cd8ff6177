"""What a classic group's members say of their topics, where they are consumers."""

from __future__ import annotations

from collections.abc import Iterable

from streamlog.errors import SchemaError
from streamlog.protocol import message

CONSUMER_PROTOCOL = "consumer"
_VERSION_BYTES = 2


def subscribed_topics(
    protocol_type: str | None, protocol_name: str | None, subscriptions: Iterable[bytes]
) -> frozenset[str] | None:
    """The topics of all members; None unless they are consumers whose subscriptions can be read.

    Only what every version begins with is read, so that members may be newer than we are.
    """
    if protocol_type != CONSUMER_PROTOCOL:
        return None
    subscriptions = list(subscriptions)
    if subscriptions and protocol_name is None:
        return None
    topics: set[str] = set()
    kind = message("ConsumerProtocolSubscription")
    for subscription in subscriptions:
        try:
            value, _ = kind.decode(subscription, 0, _VERSION_BYTES)
        except SchemaError:
            return None
        topics.update(value.topics)
    return frozenset(topics)
