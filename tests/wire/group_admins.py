"""Three clients' administrators of groups, behind the same verbs, as far as each has them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from tests.wire.aiokafka_client import with_admin
from tests.wire.client import TIMEOUT_S

Result = TypeVar("Result")


class Described(NamedTuple):
    """A group, and the host and partitions of each member."""

    state: str
    members: list[tuple[str, list[int]]]


class GroupAdmin:
    """`can` are the verbs that the client has besides listing and describing."""

    name: str
    can: frozenset[str] = frozenset()

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def list_groups(self) -> set[str]:
        raise NotImplementedError

    def describe(self, group_id: str) -> Described:
        raise NotImplementedError

    def offsets(self, group_id: str) -> dict[tuple[str, int], int]:
        """All that was committed."""
        raise NotImplementedError

    def alter_offset(self, group_id: str, topic: str, partition: int, offset: int) -> None:
        raise NotImplementedError

    def delete_offset(self, group_id: str, topic: str, partition: int) -> None:
        raise NotImplementedError

    def delete(self, group_id: str) -> None:
        """Raises when the group has members."""
        raise NotImplementedError


class ConfluentGroupAdmin(GroupAdmin):
    name = "confluent-kafka"
    can = frozenset({"alter", "delete"})

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        from confluent_kafka.admin import AdminClient

        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def list_groups(self) -> set[str]:
        found = self._admin.list_consumer_groups().result(TIMEOUT_S)
        assert not found.errors
        return {each.group_id for each in found.valid}

    def describe(self, group_id: str) -> Described:
        found = self._admin.describe_consumer_groups([group_id])[group_id].result(TIMEOUT_S)
        return Described(
            found.state.name.title(),
            [
                (each.host, sorted(part.partition for part in each.assignment.topic_partitions))
                for each in found.members
            ],
        )

    def offsets(self, group_id: str) -> dict[tuple[str, int], int]:
        from confluent_kafka import ConsumerGroupTopicPartitions

        asked = ConsumerGroupTopicPartitions(group_id)
        found = self._admin.list_consumer_group_offsets([asked])[group_id].result(TIMEOUT_S)
        return {(each.topic, each.partition): each.offset for each in found.topic_partitions}

    def alter_offset(self, group_id: str, topic: str, partition: int, offset: int) -> None:
        from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

        wanted = ConsumerGroupTopicPartitions(group_id, [TopicPartition(topic, partition, offset)])
        found = self._admin.alter_consumer_group_offsets([wanted])[group_id].result(TIMEOUT_S)
        assert found.topic_partitions[0].error is None

    def delete(self, group_id: str) -> None:
        self._admin.delete_consumer_groups([group_id])[group_id].result(TIMEOUT_S)


class KafkaPythonGroupAdmin(GroupAdmin):
    name = "kafka-python"
    can = frozenset({"alter", "delete", "delete offset"})

    def _use(self, use: Callable[[Any], Result]) -> Result:
        from kafka.admin import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            return use(admin)
        finally:
            admin.close()

    def list_groups(self) -> set[str]:
        return {each["group_id"] for each in self._use(lambda admin: admin.list_groups())}

    def describe(self, group_id: str) -> Described:
        found = self._use(lambda admin: admin.describe_groups([group_id]))[group_id]
        return Described(
            found["group_state"],
            [(each["client_host"], _partitions_of(each)) for each in found["members"]],
        )

    def offsets(self, group_id: str) -> dict[tuple[str, int], int]:
        found = self._use(lambda admin: admin.list_group_offsets({group_id: None}))[group_id]
        return {(place.topic, place.partition): said.offset for place, said in found.items()}

    def alter_offset(self, group_id: str, topic: str, partition: int, offset: int) -> None:
        from kafka import TopicPartition
        from kafka.structs import OffsetAndMetadata

        wanted = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)}
        self._use(lambda admin: admin.alter_group_offsets(group_id, wanted))

    def delete_offset(self, group_id: str, topic: str, partition: int) -> None:
        from kafka import TopicPartition

        wanted = [TopicPartition(topic, partition)]
        self._use(lambda admin: admin.delete_group_offsets(group_id, wanted))

    def delete(self, group_id: str) -> None:
        found = self._use(lambda admin: admin.delete_groups([group_id]))
        assert found in ({group_id: "OK"}, {group_id: None}), found


class AiokafkaGroupAdmin(GroupAdmin):
    name = "aiokafka"

    def _use(self, use: Callable[[Any], Awaitable[Result]]) -> Result:
        return with_admin(self._bootstrap, use)

    def list_groups(self) -> set[str]:
        return {each[0] for each in self._use(lambda admin: admin.list_consumer_groups())}

    def describe(self, group_id: str) -> Described:
        (answer,) = self._use(lambda admin: admin.describe_consumer_groups([group_id]))
        ((_, _, state, _, _, members, *_),) = answer.groups
        return Described(state, [(each[2], _decoded(each[4])) for each in members])

    def offsets(self, group_id: str) -> dict[tuple[str, int], int]:
        found = self._use(lambda admin: admin.list_consumer_group_offsets(group_id))
        return {(place.topic, place.partition): said.offset for place, said in found.items()}


def _partitions_of(member: Mapping[str, Any]) -> list[int]:
    assignment = member["member_assignment"]
    return sorted(
        partition
        for topic in assignment["assigned_partitions"]
        for partition in topic["partitions"]
    )


def _decoded(assignment: bytes) -> list[int]:
    from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

    found = ConsumerProtocolMemberAssignment.decode(assignment)
    return sorted(partition for _, partitions in found.assignment for partition in partitions)


GROUP_ADMINS: tuple[type[GroupAdmin], ...] = (
    ConfluentGroupAdmin,
    KafkaPythonGroupAdmin,
    AiokafkaGroupAdmin,
)
