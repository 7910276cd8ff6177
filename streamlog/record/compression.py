"""The five codecs of a batch, each as a stream with a limit.

A few bytes can declare gigabytes (zstd reaches 32,000 to 1), so the output is taken in pieces
and given up at the limit. One-shot calls are not safe: zstandard ignores `max_output_size` when
the frame declares a size, lz4 allocates what the frame declares.

The libraries are imported at the first use of their codec.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streamlog.errors import ConfigError, DecompressionError
from streamlog.record import xerial
from streamlog.record.byteslike import BytesLike

NONE: Final = 0
GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4

CODEC_NAMES: Final = ("none", "gzip", "snappy", "lz4", "zstd")
_CODECS: Final = {**{name: codec for codec, name in enumerate(CODEC_NAMES)}, "uncompressed": NONE}

_PIECE: Final = 64 * 1024
_MAX_ZSTD_WINDOW: Final = 1 << 27
"""zstd's own default ceiling; level 22 uses all of it."""

LEVELS: Final = {GZIP: (1, 9), LZ4: (1, 17), ZSTD: (-131_072, 22)}
"""Kafka's `compression.<codec>.level` bounds."""


def codec_named(name: str) -> int:
    """The codec id of one of Kafka's `compression.type` names ("producer" is not a codec)."""
    try:
        return _CODECS[name]
    except KeyError:
        raise ConfigError(
            f"no compression codec {name!r}; there are {', '.join(CODEC_NAMES)}", value=name
        ) from None


def compress(codec: int, data: BytesLike, level: int | None = None) -> bytes:
    """`data` as Kafka writes it in `codec`. Raises `ConfigError` for a level or codec not there."""
    check_level(codec, level)
    if codec == NONE:
        return bytes(data)
    if codec == GZIP:
        return _compress_gzip(data, level)
    if codec == SNAPPY:
        return xerial.compress(memoryview(data))
    if codec == LZ4:
        return _compress_lz4(data, level)
    return _compress_zstd(data, level)


def decompress(codec: int, data: BytesLike, limit: int) -> bytes:
    """The stream in `data`, at most `limit` bytes of it.

    Raises `DecompressionError` when it is broken, cut short, longer than `limit`, or in a codec
    that does not exist.
    """
    if codec == NONE:
        if len(data) > limit:
            raise _too_large(codec, limit)
        return bytes(data)
    if codec == SNAPPY:
        return xerial.decompress(bytes(data), limit)
    if codec == GZIP:
        pieces = _gzip_pieces(bytes(data))
    elif codec == LZ4:
        pieces = _lz4_pieces(bytes(data))
    elif codec == ZSTD:
        pieces = _zstd_pieces(bytes(data))
    else:
        raise DecompressionError(f"no compression codec has the id {codec}", codec=codec)
    return _gather(codec, pieces, limit)


def _gather(codec: int, pieces: Iterator[bytes], limit: int) -> bytes:
    gathered = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _too_large(codec, limit)
        gathered.append(piece)
    return gathered[0] if len(gathered) == 1 else b"".join(gathered)


def check_level(codec: int, level: int | None) -> None:
    """Raises `ConfigError` for a codec that does not exist or a level that it does not have."""
    if not NONE <= codec <= ZSTD:
        raise ConfigError(f"no compression codec has the id {codec}", value=codec)
    bounds = LEVELS.get(codec)
    if level is None or bounds is None:
        return
    if not bounds[0] <= level <= bounds[1] and not (codec == GZIP and level == -1):
        raise ConfigError(
            f"{CODEC_NAMES[codec]} has levels {bounds[0]} to {bounds[1]}, not {level}", value=level
        )


def _compress_gzip(data: BytesLike, level: int | None) -> bytes:
    import zlib

    stream = zlib.compressobj(-1 if level is None else level, zlib.DEFLATED, 31)
    return stream.compress(data) + stream.flush()


def _gzip_pieces(data: bytes) -> Iterator[bytes]:
    """One or more gzip members, fed in pieces: the library copies what it has not consumed."""
    import zlib

    position = 0
    while True:
        stream = zlib.decompressobj(31)
        fed = b""
        try:
            while not stream.eof:
                if not fed:
                    fed = data[position : position + _PIECE]
                    position += len(fed)
                piece = stream.decompress(fed, _PIECE)
                fed = stream.unconsumed_tail
                if not (piece or fed or stream.eof) and position == len(data):
                    raise _broken(GZIP, "it is cut short")
                yield piece
        except zlib.error as error:
            raise _broken(GZIP, str(error)) from error
        position -= len(stream.unused_data)
        if position == len(data):
            return


def _compress_lz4(data: BytesLike, level: int | None) -> bytes:
    """Kafka's frame: 64 KB blocks that stand alone, no sizes or checksums but the header's."""
    import lz4.frame

    # In Kafka level 9, its default, means the fast compressor and the others high compression.
    strength = 0 if level is None or level == 9 else max(level, 3)
    frame: bytes = lz4.frame.compress(
        data,
        compression_level=strength,
        block_size=lz4.frame.BLOCKSIZE_MAX64KB,
        block_linked=False,
        content_checksum=False,
        block_checksum=False,
        store_size=False,
    )
    return frame


def _lz4_pieces(data: bytes) -> Iterator[bytes]:
    """One or more lz4 frames, fed in pieces: the library copies what it has not consumed."""
    import lz4.frame

    position = 0
    while True:
        stream = lz4.frame.LZ4FrameDecompressor()
        try:
            while not stream.eof:
                fed = b""
                if stream.needs_input:
                    fed = data[position : position + _PIECE]
                    position += len(fed)
                    if not fed:
                        raise _broken(LZ4, "it is cut short")
                yield stream.decompress(fed, max_length=_PIECE)
        except (RuntimeError, EOFError) as error:
            raise _broken(LZ4, str(error)) from error
        position -= len(stream.unused_data or b"")
        if position == len(data):
            return


def _compress_zstd(data: BytesLike, level: int | None) -> bytes:
    import zstandard

    compressor = zstandard.ZstdCompressor(
        level=3 if level is None else level, write_content_size=False
    )
    return compressor.compress(data)


def _zstd_pieces(data: bytes) -> Iterator[bytes]:
    import zstandard

    from streamlog.record.zstd_frames import check_whole_frames

    check_whole_frames(data)
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
    reader = decompressor.stream_reader(data, read_across_frames=True)
    try:
        while piece := reader.read(_PIECE):
            yield piece
    except zstandard.ZstdError as error:
        raise _broken(ZSTD, str(error)) from error


def _broken(codec: int, reason: str) -> DecompressionError:
    name = CODEC_NAMES[codec]
    return DecompressionError(f"broken {name} stream: {reason}", codec=name, reason=reason)


def _too_large(codec: int, limit: int) -> DecompressionError:
    name = CODEC_NAMES[codec]
    return DecompressionError(
        f"a {name} stream decompresses to more than {limit} bytes", codec=name, limit=limit
    )
