"""The grammar of names: what is accepted is read back, everything else is None or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import InvalidTopicError
from streamlog.storage import names

TOPICS = st.text("abcXYZ019._-", min_size=1, max_size=249).filter(lambda name: name not in "..")


@given(st.integers(0, 2**63 - 1), st.sampled_from(names.SEGMENT_SUFFIXES))
def test_segment_names_are_read_back(base, suffix):
    name = names.segment_name(base, suffix)
    assert len(name) == 20 + len(suffix)
    assert names.parse_segment_name(name) == (base, suffix)


@pytest.mark.parametrize(
    "name",
    ["", "1.log", "0000000000000000000x.log", "00000000000000000000log", "٠" * 20 + ".log"],
)
def test_other_names_are_no_segments(name):
    assert names.parse_segment_name(name) is None


@given(TOPICS, st.integers(0, 2**31 - 1))
def test_folder_names_are_read_back(topic, partition):
    folder = names.partition_directory_name(topic, partition)
    assert names.parse_partition_directory(folder) == (topic, partition)


@pytest.mark.parametrize(
    "name",
    [
        "orders",
        "orders-",
        "-1",
        "orders-01",
        "orders-1x",
        "orders-2147483648",
        "or/ders-1",
        "..-1",
        "orders-0.0123456789abcdef0123456789abcdef-delete",
    ],
)
def test_other_names_are_no_folders(name):
    assert names.parse_partition_directory(name) is None


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", "__internal"])
def test_topic_names_that_kafka_accepts(name):
    names.validate_topic_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "x" * 250, "a b", "a/b", "../etc", "ä", "a\x00", "a\n", 7, None, b"a"]
)
def test_topic_names_that_it_refuses(name):
    with pytest.raises(InvalidTopicError) as caught:
        names.validate_topic_name(name)
    assert caught.value.topic == name


def test_names_that_differ_by_dot_and_underscore_have_one_metric_name():
    assert names.metric_name("a.b") == names.metric_name("a_b")
    assert names.metric_name("a.b") != names.metric_name("a-b")
