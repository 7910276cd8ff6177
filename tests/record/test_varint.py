from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.record.varint import append_varint, read_varint, read_varlong, varint_size

KNOWN = {
    0: "00",
    -1: "01",
    1: "02",
    63: "7e",
    -64: "7f",
    64: "8001",
    2**31 - 1: "feffffff0f",
    -(2**31): "ffffffff0f",
    2**63 - 1: "feffffffffffffffff01",
    -(2**63): "ffffffffffffffffff01",
}


@pytest.mark.parametrize("value", KNOWN)
def test_known_values(value):
    out = bytearray()
    append_varint(out, value)
    assert out.hex() == KNOWN[value]
    assert varint_size(value) == len(out)
    assert read_varlong(out, 0, len(out)) == (value, len(out))


@given(value=st.integers(-(2**31), 2**31 - 1), tail=st.binary(max_size=3))
def test_int32_comes_back(value, tail):
    out = bytearray()
    append_varint(out, value)
    assert read_varint(out + tail, 0, len(out) + len(tail)) == (value, len(out))
    for end in range(len(out)):
        with pytest.raises(ValueError):
            read_varint(out, 0, end)


@pytest.mark.parametrize("raw", ["8080808080", "808080808000", "ffffffff10", "feffffffffff0f"])
def test_what_does_not_fit_an_int32_is_refused(raw):
    with pytest.raises(ValueError):
        read_varint(bytes.fromhex(raw), 0, len(raw) // 2)


@pytest.mark.parametrize("raw", ["80" * 10 + "00", "ff" * 9 + "02", "80" * 9 + "80"])
def test_what_does_not_fit_an_int64_is_refused(raw):
    with pytest.raises(ValueError):
        read_varlong(bytes.fromhex(raw), 0, len(raw) // 2)
