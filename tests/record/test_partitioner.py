from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.record.conftest import load_kernel
from tests.record.oracles import aiokafka_murmur2, kafka_python_murmur2

JAVA_HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
    b"": 275646681,
    b"k": -1567496736,
    b"key-0": 29210041,
    b"key-1": 193331640,
}
OF_SIX = {b"21": 0, b"foobar": 0, b"abc": 3, b"": 3, b"k": 2, b"key-0": 1, b"key-1": 0}


@pytest.mark.parametrize("key", JAVA_HASHES)
def test_hashes_are_javas(kernel, key):
    assert kernel.murmur2(key) == JAVA_HASHES[key]
    assert kernel.murmur2(memoryview(key)) == JAVA_HASHES[key]


def test_partitions_are_javas(kernel):
    assert {key: kernel.partition_for_key(key, 6) for key in OF_SIX} == OF_SIX
    partitions = kernel.partition_many([*OF_SIX, None], 6)
    assert partitions == array("i", [*OF_SIX.values(), -1])
    assert kernel.partition_many([], 6) == array("i")


@given(key=st.binary(max_size=100))
def test_any_hash_is_everyones(key):
    hashes = {load_kernel(name).murmur2(key) & 0xFFFFFFFF for name in ("pure", "compiled")}
    hashes |= {kafka_python_murmur2(key) & 0xFFFFFFFF, aiokafka_murmur2(key) & 0xFFFFFFFF}
    assert len(hashes) == 1


def test_wrong_keys_and_counts_are_named(kernel):
    for call in (kernel.partition_for_key, kernel.partition_many):
        with pytest.raises(ValueError, match="partition_count must be at least 1, not 0"):
            call(b"" if call is kernel.partition_for_key else [b""], 0)
    with pytest.raises(TypeError, match="data must be bytes-like, not str"):
        kernel.murmur2("text")
    with pytest.raises(TypeError, match="data must be bytes-like, not NoneType"):
        kernel.murmur2(None)
    with pytest.raises(TypeError, match="key must be bytes-like, not int"):
        kernel.partition_for_key(5, 3)
    with pytest.raises(TypeError, match=r"keys\[1\] must be bytes-like, not str"):
        kernel.partition_many([b"", ""], 3)
