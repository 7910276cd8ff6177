"""Damaged requests of every API and version: read or refused, in memory bounded by their bytes.

    STREAMLOG_FUZZED_FRAMES=10000 python -m pytest -m soak tests/fuzz/test_requests.py

gives so many to each version; STREAMLOG_SEED makes them others.
"""

from __future__ import annotations

import pytest

from streamlog.protocol import message
from streamlog.protocol.api import Api, api_of
from streamlog.protocol.source import GeneratedCode
from tests.fuzz.requests import EVERY, OFFER, check_version
from tests.fuzz.wire import VERSIONS
from tests.machine.sizes import SEED, size

FEW = 30


def named(which: object) -> str:
    return which.name if isinstance(which, Api) else str(which)


def test_every_request_that_is_offered_is_among_them() -> None:
    assert {api.key for api, _ in EVERY} == OFFER.keys()
    assert {(api.request.name, version) for api, version in EVERY} <= set(VERSIONS)


@pytest.mark.parametrize(
    "key", OFFER, ids=lambda key: next(a.name for a, _ in EVERY if a.key == key)
)
def test_damaged_requests(key: int) -> None:
    versions = [(api, version) for api, version in EVERY if api.key == key]
    found = [check_version("few", api, version, FEW) for api, version in versions]
    assert sum(read for read, _ in found) > 0
    assert sum(refused for _, refused in found) > 0


@pytest.mark.soak
@pytest.mark.parametrize(("api", "version"), EVERY, ids=named)
def test_many_damaged_requests(api: Api, version: int) -> None:
    read, refused = check_version(f"many {SEED}", api, version, size("FUZZED_FRAMES", 10_000))
    assert min(read, refused) > 0


@pytest.mark.parametrize(
    ("version", "sound", "planted", "told"),
    [
        (12, "raise no_count(count, size - position)", "raise KeyError(count)", KeyError),
        (12, "count -= 1\n", "count -= 1; room = bytearray(min(count, 1 << 22))\n", AssertionError),
        (0, "<= stop <= size:", "<= stop:", AssertionError),
    ],
    ids=["another error", "memory for a count", "behind the end"],
)  # fmt: skip
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    sound: str,
    planted: str,
    told: type[Exception],
) -> None:
    kind = message("MetadataRequest")
    kind.decode(kind.encode(kind.Value(topics=[]), version), version)
    code = kind._decoders[version]
    assert sound in code.text
    monkeypatch.setitem(kind._decoders, version, changed(code, sound, planted))
    with pytest.raises(told):
        check_version("planted", api_of("Metadata"), version, 50 * FEW)


def changed(code: GeneratedCode, sound: str, planted: str) -> GeneratedCode:
    """A decoder with other text in place of some of its source."""
    text = code.text.replace(sound, planted)
    names = dict(code.function.__globals__)
    exec(compile(text, code._file_name, "exec"), names)
    return GeneratedCode(names["decode"], text, code._file_name, code._places)
