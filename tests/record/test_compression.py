from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import suppress

import lz4.frame
import pytest
import snappy
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import ConfigError, DecompressionError
from streamlog.record import xerial
from streamlog.record.compression import (
    CODEC_NAMES,
    GZIP,
    LZ4,
    SNAPPY,
    ZSTD,
    codec_named,
    compress,
    decompress,
)
from tests.record.samples import CODECS

MIB = 1024 * 1024
TEXT = b"The quick brown fox jumps over the lazy dog. " * 5000
codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
compressing = pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=CODEC_NAMES[1:])


@codecs
@pytest.mark.parametrize("data", [b"", b"x", TEXT, bytes(3 * MIB)], ids=len)
def test_what_is_compressed_comes_back(codec, data):
    assert decompress(codec, compress(codec, data), len(data)) == data
    assert decompress(codec, memoryview(compress(codec, memoryview(data))), len(data)) == data


@codecs
def test_one_byte_over_the_limit_is_refused(codec):
    packed = compress(codec, TEXT)
    assert decompress(codec, packed, len(TEXT)) == TEXT
    with pytest.raises(DecompressionError, match="more than") as caught:
        decompress(codec, packed, len(TEXT) - 1)
    assert caught.value.limit == len(TEXT) - 1


@compressing
def test_a_stream_cut_anywhere_is_refused(codec):
    packed = compress(codec, TEXT[:3000])
    for size in range(len(packed)):
        if codec == SNAPPY and size == len(xerial.HEADER):
            continue  # a whole stream of nothing
        with pytest.raises(DecompressionError):
            decompress(codec, packed[:size], MIB)


@compressing
def test_flipped_bits_are_an_error_or_other_bytes_but_never_more_than_the_limit(codec):
    packed = compress(codec, TEXT[:3000])
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        with suppress(DecompressionError):
            assert len(decompress(codec, bytes(flipped), 4000)) <= 4000


@compressing
@given(data=st.binary(max_size=300))
def test_any_bytes_are_an_error_or_within_the_limit(codec, data):
    with suppress(DecompressionError):
        assert len(decompress(codec, data, 1000)) <= 1000


ZEROS = bytes(64 * MIB)
BOMBS = {
    "gzip": (GZIP, lambda: gzip.compress(ZEROS)),
    "xerial": (SNAPPY, lambda: compress(SNAPPY, ZEROS)),
    "raw snappy": (SNAPPY, lambda: snappy.compress(ZEROS)),
    "lz4": (LZ4, lambda: compress(LZ4, ZEROS)),
    "lz4 with its size": (LZ4, lambda: lz4.frame.compress(ZEROS, store_size=True)),
    "zstd": (ZSTD, lambda: compress(ZSTD, ZEROS)),
    "zstd with its size": (ZSTD, lambda: zstandard.ZstdCompressor().compress(ZEROS)),
    "zstd in frames": (ZSTD, lambda: compress(ZSTD, bytes(MIB)) * 64),
    "lz4 in frames": (LZ4, lambda: compress(LZ4, bytes(MIB)) * 64),
    "gzip in members": (GZIP, lambda: compress(GZIP, bytes(MIB)) * 64),
}

BOMB_SCRIPT = """
import resource, sys
from streamlog.errors import DecompressionError
from streamlog.record.compression import compress, decompress
codec = int(sys.argv[1])
decompress(codec, compress(codec, b"warm up"), 100)
packed = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decompress(codec, packed, 1 << 20)
    raise SystemExit("not refused")
except DecompressionError as error:
    assert "more than" in str(error), error
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_given_up_at_the_limit(name):
    codec, pack = BOMBS[name]
    run = subprocess.run(
        [sys.executable, "-c", BOMB_SCRIPT, str(codec)],
        input=pack(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr.decode()
    # The limit of 1 MiB, twice for the pieces and their sum, the window, and what is not ours.
    assert int(run.stdout) < 12 * MIB


def test_a_snappy_size_that_lies_is_refused_before_it_is_allocated():
    declared = b"\x80\x80\x80\x80\x08" + b"\x00" * 20  # 2 GiB, from 25 bytes
    tracemalloc.start()
    try:
        for packed in (declared, xerial.HEADER + (25).to_bytes(4, "big") + declared):
            with pytest.raises(DecompressionError):
                decompress(SNAPPY, packed, 1 << 40)
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_snappy_is_written_in_xerial_blocks_of_32_kib():
    packed = compress(SNAPPY, TEXT)
    assert packed.startswith(bytes.fromhex("82534e41505059000000000100000001"))
    position, sizes = 16, []
    while position < len(packed):
        length = int.from_bytes(packed[position : position + 4], "big")
        sizes.append(len(snappy.uncompress(packed[position + 4 : position + 4 + length])))
        position += 4 + length
    assert sizes == [32768] * (len(TEXT) // 32768) + [len(TEXT) % 32768]


def test_raw_snappy_is_read():
    assert decompress(SNAPPY, snappy.compress(TEXT), MIB) == TEXT


def test_a_xerial_header_may_come_again():
    packed = compress(SNAPPY, TEXT) + compress(SNAPPY, b"more")
    assert decompress(SNAPPY, packed, MIB) == TEXT + b"more"


@pytest.mark.parametrize("length", [-1, -(2**31), 2**31 - 1, 100])
def test_a_xerial_block_length_that_lies_is_refused(length):
    packed = xerial.HEADER + length.to_bytes(4, "big", signed=True) + snappy.compress(b"x")
    with pytest.raises(DecompressionError, match="does not fit"):
        decompress(SNAPPY, packed, MIB)


def test_lz4_frames_are_kafkas():
    packed = compress(LZ4, TEXT)
    assert packed.startswith(bytes.fromhex("04224d18604082"))
    info = lz4.frame.get_frame_info(packed)
    assert (info["block_linked"], info["content_checksum"], info["content_size"]) == (
        False,
        False,
        0,
    )


def test_zstd_frames_declare_no_size():
    packed = compress(ZSTD, TEXT)
    assert zstandard.frame_content_size(packed) == -1


def test_other_writers_frames_are_read():
    linked = lz4.frame.compress(TEXT, block_linked=True, content_checksum=True, store_size=True)
    assert decompress(LZ4, linked, MIB) == TEXT
    checked = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(TEXT)
    assert decompress(ZSTD, checked, MIB) == TEXT
    skippable = bytes.fromhex("502a4d18 03000000 010203")
    assert decompress(ZSTD, skippable + checked, MIB) == TEXT
    assert decompress(GZIP, gzip.compress(TEXT) * 2, MIB) == TEXT * 2


def test_a_zstd_window_of_gigabytes_is_refused():
    # Single segment, content size 2^62: the decoder would want all of it at once.
    frame = bytes.fromhex("28b52ffd e0") + (1 << 62).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(DecompressionError):
        decompress(ZSTD, frame, 1 << 62)


def test_gzip_is_one_plain_member():
    stream = zlib.decompressobj(31)
    assert stream.decompress(compress(GZIP, TEXT)) == TEXT
    assert stream.eof
    assert not stream.unused_data


@pytest.mark.parametrize(
    ("codec", "levels"), [(GZIP, (-1, 1, 9)), (LZ4, (1, 9, 17)), (ZSTD, (-131072, 1, 22))]
)
def test_levels_within_kafkas_bounds_compress(codec, levels):
    for level in levels:
        assert decompress(codec, compress(codec, TEXT, level), len(TEXT)) == TEXT


@pytest.mark.parametrize(("codec", "level"), [(GZIP, 0), (GZIP, 10), (LZ4, 18), (ZSTD, 23)])
def test_levels_outside_are_refused(codec, level):
    with pytest.raises(ConfigError, match="levels"):
        compress(codec, b"", level)


def test_codecs_have_kafkas_names():
    assert [codec_named(name) for name in CODEC_NAMES] == [0, 1, 2, 3, 4]
    assert codec_named("uncompressed") == 0
    with pytest.raises(ConfigError, match="brotli"):
        codec_named("brotli")


@pytest.mark.parametrize("codec", [5, 7, -1])
def test_codecs_that_do_not_exist_are_refused(codec):
    with pytest.raises(ConfigError):
        compress(codec, b"")
    with pytest.raises(DecompressionError):
        decompress(codec, b"", 10)


def test_codecs_are_imported_at_first_use():
    script = (
        "import sys, streamlog.record.kernel, streamlog.record.control\n"
        "print([name for name in ('zstandard', 'lz4', 'snappy', 'gzip') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert run.stdout.strip() == b"[]"
