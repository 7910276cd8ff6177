"""What does a message of Kafka's protocol cost to decode and to encode, and its first use?

The messages of every day, as clients send and brokers answer them, against the two codecs in
Python that are kept up to date: kafka-python, which generates source as streamlog does, and kio,
which decodes in Rust. All read the same bytes and write the same bytes again. streamlog encodes as
it sends: large records are not copied. Microseconds are medians; ratios are medians of those of
each turn, above 1 where streamlog is faster.

First use: parsing the definition and making the classes, then a decoder and an encoder, the
median over all requests and responses in their newest version and the dearest of them, in a new
process; and from nothing but the interpreter to a served ApiVersions, imports included.
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from kio.index import load_payload_module
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType
from rig.benchmark import Options, Result, Table, run_benchmark
from rig.measuring import Contest, Run, hold_contest
from rig.wire import Sample, samples

from streamlog.protocol.primitives import interleave

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of how kafka-python reads its data
    from kafka.protocol.api_message import ApiMessage
    from kafka.protocol.consumer import fetch as _fetch  # noqa: F401 - defines messages
    from kafka.protocol.consumer import group as _group  # noqa: F401 - the same
    from kafka.protocol.metadata import api_versions as _api_versions  # noqa: F401 - the same
    from kafka.protocol.metadata import metadata as _metadata  # noqa: F401 - the same
    from kafka.protocol.producer import produce as _produce  # noqa: F401 - the same


class Codec(NamedTuple):
    """One codec on one message. `decode` reads the sample's bytes, `encode` writes its value."""

    decode: Callable[[], Any]
    encode: Callable[[], Any]


def of_streamlog(sample: Sample, data: bytes) -> Codec:
    kind, version = sample.message, sample.version
    value = kind.decode_whole(data, version)

    def encode() -> list[Any]:
        out, cuts = bytearray(), list[Any]()
        kind.encode_into(out, value, version, cuts)
        return interleave(out, cuts)

    return Codec(lambda: kind.decode_whole(data, version), encode)


def of_kafka_python(sample: Sample, data: bytes) -> Codec | None:
    known = next((k for k in ApiMessage.__subclasses__() if k.name == sample.message.name), None)
    if known is None:
        return None
    value = known.decode(data, version=sample.version)
    value._header = None  # its decode() leaves that out where there is no header to read
    return Codec(
        lambda: known.decode(data, version=sample.version),
        lambda: value.encode(version=sample.version),
    )


def of_kio(sample: Sample, data: bytes) -> Codec:
    name = sample.message.name
    kind = EntityType.request if name.endswith("Request") else EntityType.response
    entity = getattr(load_payload_module(sample.message.api_key, sample.version, kind), name)
    read, write = entity_reader(entity), entity_writer(entity)
    value, _ = read(data, 0)

    def encode() -> bytes:
        stream = io.BytesIO()
        write(stream, value)
        return stream.getvalue()

    return Codec(lambda: read(data, 0), encode)


def timed(call: Callable[[], Any], times: int, checksum: int) -> Run:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return Run(time.perf_counter() - began, times, checksum)


def checksum(codec: Codec) -> int:
    """That of what the codec writes for the value that it read."""
    written = codec.encode()
    return zlib.crc32(b"".join(written) if isinstance(written, list) else written)


def line_of(options: Options, sample: Sample) -> list[str]:
    data = sample.message.encode(sample.value, sample.version)
    made = {
        "streamlog": of_streamlog(sample, data),
        "kafka-python": of_kafka_python(sample, data),
        "kio": of_kio(sample, data),
    }
    codecs = {name: codec for name, codec in made.items() if codec is not None}
    times = options.pick(2_000_000, 20_000) // (len(data) % 16_384 + 1_000)
    decoding = {
        name: partial(timed, codec.decode, times, checksum(codec)) for name, codec in codecs.items()
    }
    encoding = {
        name: partial(timed, codec.encode, times, checksum(codec)) for name, codec in codecs.items()
    }
    return [
        f"{sample.message.name} {sample.version} ({sample.what})",
        f"{len(data):,}",
        *cells(hold_contest(decoding, options.repetitions)),
        *cells(hold_contest(encoding, options.repetitions)),
    ]


def cells(contest: Contest) -> list[str]:
    found = [f"{1e6 / contest.rate('streamlog'):.1f}"]
    for peer in ("kafka-python", "kio"):
        has = peer in contest.rates
        found.append(f"{contest.ratio('streamlog', peer):.2f} x" if has else "-")
    return found


_FIRST_USE = """
import json, time
from streamlog.protocol import message
from streamlog.protocol.definitions import load_family
found = []
for family in ("requests", "responses"):
    for name in load_family(family):
        began = time.perf_counter()
        kind = message(name)
        made = time.perf_counter()
        kind._build_decoder(kind.valid_versions[1])
        decoder = time.perf_counter()
        kind._build_encoder(kind.valid_versions[1])
        found.append([made - began, decoder - made, time.perf_counter() - decoder])
print(json.dumps(found))
"""
_SERVED = """
import time
began = time.perf_counter()
import streamlog
from streamlog.protocol.api import api_of, offered, offered_versions
from streamlog.protocol.exchange import decode_request, encode_response
from streamlog.protocol.frame_reader import FrameReader
reader = FrameReader()
reader.receive_data(bytes.fromhex(
    "00000018" "0012" "0003" "00000001" "0003" "636964" "00" "05" "64656d6f" "04" "312e30" "00"
))
request = decode_request(reader.next_frame())
body = request.api.response.Value(api_keys=offered_versions(offered()))
encode_response(request, body)
print(time.perf_counter() - began)
"""


def first_use(options: Options) -> list[list[str]]:
    runs = [json.loads(run_python(_FIRST_USE)) for _ in range(options.repetitions)]
    lines = []
    for column, what in enumerate(("definition and classes", "decoder", "encoder")):
        # The fastest of the runs for each message: what else the machine did is not its cost.
        times = [min(run[row][column] for run in runs) * 1e3 for row in range(len(runs[0]))]
        lines.append([what, f"{statistics.median(times):.2f}", f"{max(times):.2f}"])
    served = min(float(run_python(_SERVED)) for _ in range(options.repetitions))
    return [*lines, ["import to a served ApiVersions", f"{served * 1e3:.0f}", ""]]


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def measure(options: Options) -> list[Result]:
    columns = (
        "message",
        "bytes",
        "decode, us",
        "to kafka-python",
        "to kio",
        "encode, us",
        "to kafka-python",
        "to kio",
    )
    lines = [line_of(options, sample) for sample in samples()]
    return [
        Table("Cost of a message of the wire protocol", columns, lines),
        Table("Its first use, ms", ("what", "median", "dearest"), first_use(options)),
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
