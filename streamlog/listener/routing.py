"""Which handler answers which API. What has no handler is not offered."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from streamlog.listener.handlers import (
    api_versions,
    cluster,
    configs,
    fetch,
    group_offsets,
    groups,
    metadata,
    offsets,
    produce,
    producer_ids,
    records,
    topics,
)
from streamlog.protocol.api import Offer, api_of, offered

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request

Handler = Callable[["Connection", "Request"], "Any | Coroutine[Any, Any, Any]"]
"""Answers a request: with the body of the response, or with the coroutine of it."""

_HANDLERS: dict[str, Handler] = {
    "ApiVersions": api_versions.answer,
    "Metadata": metadata.answer,
    "DescribeCluster": cluster.describe_cluster,
    "DescribeTopicPartitions": cluster.describe_topic_partitions,
    "DescribeLogDirs": cluster.describe_log_dirs,
    "Produce": produce.answer,
    "InitProducerId": producer_ids.init_producer_id,
    "DescribeProducers": producer_ids.describe_producers,
    "Fetch": fetch.answer,
    "ListOffsets": offsets.list_offsets,
    "OffsetForLeaderEpoch": offsets.offset_for_leader_epoch,
    "DeleteRecords": records.delete_records,
    "CreateTopics": topics.create_topics,
    "DeleteTopics": topics.delete_topics,
    "CreatePartitions": topics.create_partitions,
    "DescribeConfigs": configs.describe_configs,
    "IncrementalAlterConfigs": configs.incremental_alter_configs,
    "AlterConfigs": configs.alter_configs,
    "ListConfigResources": configs.list_config_resources,
    "FindCoordinator": groups.find_coordinator,
    "JoinGroup": groups.answer,
    "SyncGroup": groups.answer,
    "Heartbeat": groups.answer,
    "LeaveGroup": groups.answer,
    "ConsumerGroupHeartbeat": groups.answer,
    "ListGroups": groups.answer,
    "DescribeGroups": groups.describe,
    "ConsumerGroupDescribe": groups.describe,
    "DeleteGroups": groups.answer,
    "OffsetCommit": group_offsets.commit,
    "OffsetFetch": group_offsets.fetch,
    "OffsetDelete": group_offsets.delete,
}


class Routes:
    """A table of handlers with what it makes an endpoint offer."""

    def __init__(self, handlers: dict[str, Handler] = _HANDLERS) -> None:
        self._handlers = {api_of(name).key: handler for name, handler in handlers.items()}
        versions = offered()
        self.offer: Offer = {key: versions[key] for key in versions if key in self._handlers}

    def answer(self, connection: Connection, request: Request) -> Any | Coroutine[Any, Any, Any]:
        """The handler's answer to a request, whose API is one that is offered."""
        return self._handlers[request.api.key](connection, request)
