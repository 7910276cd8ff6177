"""Frames come out as they went in, however they arrive, and nothing is believed of a length."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import FrameTooLargeError, NotKafkaError, ProtocolError
from streamlog.protocol.frame_reader import FrameReader

MIB = 1 << 20


def framed(*contents: bytes) -> bytes:
    return b"".join(len(content).to_bytes(4, "big") + content for content in contents)


def frames_of(reader: FrameReader) -> list[bytes]:
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(bytes(frame))
    return found


def receive_in_place(reader: FrameReader, data: bytes, at_most: int = 1 << 30) -> list[bytes]:
    """As a socket does that writes into the reader's memory; a view of each frame is kept."""
    kept = []
    while data:
        room = reader.get_buffer()
        count = min(len(room), len(data), at_most)
        room[:count] = data[:count]
        reader.buffer_updated(count)
        data = data[count:]
        while (frame := reader.next_frame()) is not None:
            kept.append(frame)
    return [bytes(frame) for frame in kept]


def test_frames_arrive_whole_in_pieces_and_several_at_once() -> None:
    contents = [b"", b"a", b"orders" * 50, bytes(70_000), b"last"]
    stream = framed(*contents)
    whole = FrameReader()
    whole.receive_data(stream)
    assert frames_of(whole) == contents
    assert receive_in_place(FrameReader(), stream) == contents
    assert receive_in_place(FrameReader(), stream, at_most=7) == contents


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 200_000).map(bytes)), max_size=8),
    st.lists(st.integers(1, 70_000), max_size=60),
)
def test_any_frames_in_any_pieces(contents: list[bytes], pieces: list[int]) -> None:
    reader = FrameReader()
    stream = framed(*contents)
    found: list[memoryview] = []
    for piece in [*pieces, len(stream)]:
        reader.receive_data(stream[:piece])
        stream = stream[piece:]
        while (frame := reader.next_frame()) is not None:
            found.append(frame)
    assert [bytes(frame) for frame in found] == contents


def test_a_frame_can_be_written_to_and_keeps_what_was_written() -> None:
    """Offsets of a batch are patched where it lies, while the next request arrives."""
    reader = FrameReader()
    reader.receive_data(framed(b"batch", b"next"))
    frame = reader.next_frame()
    assert frame is not None
    frame[:2] = b"BA"
    for _ in range(100):
        reader.receive_data(framed(bytes(3_000)))
        frames_of(reader)
    assert bytes(frame) == b"BAtch"


def test_how_much_is_awaited() -> None:
    reader = FrameReader()
    assert reader.awaited_bytes == 0
    reader.receive_data(b"\0\0")
    assert reader.awaited_bytes == 2
    reader.receive_data(b"\0\x0a" + bytes(3))
    assert reader.awaited_bytes == 7
    reader.receive_data(bytes(7))
    assert reader.awaited_bytes == 0
    assert reader.next_frame() is not None
    assert reader.next_frame() is None
    with pytest.raises(ValueError, match="not in the buffer"):
        reader.buffer_updated(1 << 20)


def test_the_limit_may_change_between_frames() -> None:
    reader = FrameReader(max_frame_bytes=100)
    reader.receive_data(framed(bytes(100), bytes(101)))
    assert reader.next_frame() is not None
    with pytest.raises(FrameTooLargeError) as caught:
        reader.next_frame()
    assert (caught.value.size, caught.value.limit) == (101, 100)
    with pytest.raises(FrameTooLargeError):
        reader.next_frame()
    reader.max_frame_bytes = 101  # authenticated
    frame = reader.next_frame()
    assert frame is not None
    assert len(frame) == 101


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (bytes.fromhex("16030100f1010000"), "a TLS handshake"),
        (bytes.fromhex("1603030200010001"), "a TLS handshake"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "an HTTP request"),
        (b"POST /topics HTTP/1.1\r\n", "an HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP/2 connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "an HTTP response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH connection"),
        (b"\xff\xff\xff\xff", "a frame of -1 bytes"),
        (b"\x80\0\0\0", "a frame of -2147483648 bytes"),
    ],
)
def test_strangers_are_recognized_by_their_first_bytes(data: bytes, found: str) -> None:
    reader = FrameReader()
    reader.receive_data(data[:3])
    assert reader.next_frame() is None
    reader.receive_data(data[3:])
    for _ in range(2):
        with pytest.raises(NotKafkaError, match=found) as caught:
            reader.next_frame()
    assert caught.value.found == found
    assert isinstance(caught.value, ProtocolError)


def peak_of(reader: FrameReader, data: bytes, at_most: int) -> int:
    source = memoryview(data)
    tracemalloc.start()
    try:
        sent = 0
        while sent < len(data):
            room = reader.get_buffer()
            count = min(len(room), len(data) - sent, at_most)
            room[:count] = source[sent : sent + count]
            reader.buffer_updated(count)
            del room
            sent += count
            reader.next_frame()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_length_alone_takes_no_memory() -> None:
    announced = (100 * MIB).to_bytes(4, "big")
    assert peak_of(FrameReader(), announced + bytes(10), at_most=4) < 20_000


def test_memory_grows_with_what_has_arrived() -> None:
    """Four times what is there at most, besides the old buffer while it is copied."""
    announced = (100 * MIB).to_bytes(4, "big")
    for arrived in (5_000, 100_000, MIB):
        peak = peak_of(FrameReader(), announced + bytes(arrived), at_most=1_500)
        assert peak < 5 * arrived + 100_000
    whole = framed(bytes(MIB))
    assert peak_of(FrameReader(), whole, at_most=MIB) < 2 * len(whole)


def test_an_idle_connection_holds_little() -> None:
    tracemalloc.start()
    try:
        readers = [FrameReader() for _ in range(100)]
        for reader in readers:
            reader.receive_data(framed(b"hello"))
            reader.next_frame()
        assert tracemalloc.get_traced_memory()[1] < 100 * 6_000
    finally:
        tracemalloc.stop()


def test_room_is_never_empty() -> None:
    """Not even for a caller that takes no frames: asyncio would close the connection."""
    reader = FrameReader()
    for _ in range(300):
        room = reader.get_buffer()
        assert len(room) > 0
        count = min(len(room), 1_000)
        room[:count] = framed(bytes(count - 4))
        reader.buffer_updated(count)
    assert len(frames_of(reader)) == 300
