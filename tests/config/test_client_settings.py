from __future__ import annotations

import msgspec
import pytest

from streamlog.config import ConsumerConfig, OpenConfig, ProducerConfig
from streamlog.config.client_settings import CONSUMER_SETTINGS, OPEN_SETTINGS, PRODUCER_SETTINGS
from streamlog.errors import ConfigError, UnknownSettingError, UnsupportedFeatureError


@pytest.mark.parametrize(
    ("config", "table"),
    [
        (OpenConfig, OPEN_SETTINGS),
        (ProducerConfig, PRODUCER_SETTINGS),
        (ConsumerConfig, CONSUMER_SETTINGS),
    ],
)
def test_struct_has_the_settings_of_its_table(config: type, table: object) -> None:
    defaults = config.from_settings({})  # type: ignore[attr-defined]
    assert msgspec.structs.asdict(defaults) == {s.name: s.default for s in table}  # type: ignore[attr-defined]


def test_producer_defaults_are_kafkas() -> None:
    config = ProducerConfig.from_settings({})
    assert (config.acks, config.linger_ms, config.batch_size) == (-1, 5, 16_384)
    assert (config.buffer_memory, config.max_block_ms) == (32 * 1024 * 1024, 60_000)
    assert config.enable_idempotence is False


@pytest.mark.parametrize(("acks", "code"), [("all", -1), (-1, -1), (1, 1), (0, 0)])
def test_acks(acks: object, code: int) -> None:
    assert ProducerConfig.from_settings({"acks": acks}).acks == code


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"enable_idempotence": True, "acks": 1}, "acks"),
        ({"linger_ms": 200_000}, "delivery_timeout_ms"),
        ({"batch_size": 1000, "buffer_memory": 999}, "buffer_memory"),
        ({"compression_type": "brotli"}, "compression_type"),
        ({"linger_ms": 0.5}, "linger_ms"),
        ({"value_serializer": "json"}, "value_serializer"),
    ],
)
def test_producer_setting_is_refused(settings: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProducerConfig.from_settings(settings)
    assert caught.value.name == name


def test_what_is_not_offered_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedFeatureError, match="transactional_id"):
        ProducerConfig.from_settings({"transactional_id": "t"})
    with pytest.raises(UnsupportedFeatureError, match="group_remote_assignor"):
        ConsumerConfig.from_settings({"partition_assignment_strategy": "range"})


def test_a_group_commits_by_itself_unless_told_otherwise() -> None:
    assert ConsumerConfig.from_settings({"group_id": "g"}).enable_auto_commit
    by_hand = {"group_id": "g", "enable_auto_commit": False}
    assert not ConsumerConfig.from_settings(by_hand).enable_auto_commit
    for wrong in (
        {"group_id": " "},
        {"group_id": "g", "group_instance_id": ""},
        {"group_id": "x" * 32_768},
        {"group_id": "a\ud800"},
        {"group_id": "g", "group_instance_id": "\N{GREEK SMALL LETTER PI}" * 16_384},
        {"client_id": "x" * 32_768},
        {"group_id": "g", "commit_acks": 0},
        {"group_id": "g", "group_protocol": "classic"},
        {"enable_auto_commit": True},
        {"group_instance_id": "i"},
    ):
        with pytest.raises(ConfigError):
            ConsumerConfig.from_settings(wrong)


def test_unknown_settings_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownSettingError, match="did you mean linger_ms"):
        ProducerConfig.from_settings({"linger": 5})
    with pytest.raises(UnknownSettingError, match="did you mean lock_timeout_ms"):
        OpenConfig.from_settings({"lock_timeout": 5})
