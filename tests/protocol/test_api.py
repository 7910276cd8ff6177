"""The table of APIs: what there is, and what an endpoint says it answers."""

from __future__ import annotations

import pytest
from kio.schema.index import api_key_map

from streamlog.protocol.api import PRODUCE, api_of, apis, offered
from streamlog.protocol.definitions import load_family

OFFERED = """
    ApiVersions Metadata Produce Fetch ListOffsets OffsetForLeaderEpoch FindCoordinator JoinGroup
    SyncGroup Heartbeat LeaveGroup ConsumerGroupHeartbeat OffsetCommit OffsetFetch OffsetDelete
    ListGroups DescribeGroups DeleteGroups ConsumerGroupDescribe InitProducerId CreateTopics
    DeleteTopics CreatePartitions DeleteRecords DescribeConfigs AlterConfigs
    IncrementalAlterConfigs ListConfigResources DescribeCluster DescribeTopicPartitions
    DescribeLogDirs DescribeProducers
"""


def test_keys_and_names() -> None:
    assert {key: api.name for key, api in apis().items() if key in api_key_map} == {
        key: "".join(word.title() for word in name.split("_")) for key, name in api_key_map.items()
    }
    assert set(apis()) - set(api_key_map) == {93, 94}
    assert all(api.key == key and api_of(api.name) is api for key, api in apis().items())
    with pytest.raises(LookupError, match="ControlledShutdown"):
        api_of("ControlledShutdown")


def test_every_request_has_a_response_of_the_same_versions() -> None:
    assert len(load_family("responses")) == len(apis())
    for api in apis().values():
        assert api.response.api_key == api.request.api_key == api.key
        assert api.response.valid_versions == api.request.valid_versions, api.name
        flexible = (api.flexible.low, api.flexible.high)
        assert api.response.flexible_versions == api.request.flexible_versions == flexible


def test_what_is_offered_can_be_read_and_answered() -> None:
    for key, versions in offered().items():
        api = apis()[key]
        assert versions.high in api.versions, api.name
        assert versions.low in api.versions or key == PRODUCE, api.name


def test_what_is_offered() -> None:
    assert {apis()[key].name for key in offered()} == set(OFFERED.split())


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("Produce", 3, 7),  # and 0: librdkafka before 2.11.1 looks for just these versions
        ("Fetch", 4, 10),
        ("FindCoordinator", 0, 0),
        ("ListOffsets", 1, 1),
        ("InitProducerId", 0, 0),
        ("ApiVersions", 0, 3),
        ("Metadata", 0, 5),  # aiokafka, which speaks no flexible versions
        ("OffsetCommit", 2, 3),
        ("OffsetFetch", 1, 3),
        ("JoinGroup", 0, 5),
        ("CreateTopics", 2, 3),
        ("DescribeConfigs", 1, 2),
        ("AlterConfigs", 0, 1),
    ],
)
def test_old_versions_that_clients_need_are_offered(name: str, low: int, high: int) -> None:
    versions = offered()[api_of(name).key]
    assert versions.low <= low
    assert versions.high >= high
    assert offered()[PRODUCE].low == 0
