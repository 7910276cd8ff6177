"""The fetch path: whole batches from several partitions, waiting for some when there are none.

Kafka's rules (facts 4.7): partitions are served in the order asked; as long as nothing was
found, the first batch is returned whatever its size, so that a reader always gets on; otherwise
a batch that does not fit its limits waits for the next fetch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.storage.fetched import Fetched
    from streamlog.storage.partition_log import PartitionLog


class FetchRequest(NamedTuple):
    """Read `log` from `offset` on, about `max_bytes` of whole batches.

    `cursor` is what the last fetch of this position returned: it saves the index lookup.
    """

    log: PartitionLog
    offset: int
    max_bytes: int
    cursor: Any = None


class FetchResult(NamedTuple):
    """What one partition answered: `fetched`, empty when there is nothing, or an `error`."""

    request: FetchRequest
    fetched: Fetched | None
    error: StreamlogError | None


def fetch(
    engine: Engine,
    requests: Sequence[FetchRequest],
    *,
    min_bytes: int = 1,
    max_wait_ms: int = 500,
    max_bytes: int = 52_428_800,
) -> list[FetchResult]:
    """One result a request, in their order; waits until `min_bytes` are there or the time is up.

    A failed partition (`OffsetOutOfRangeError`, `LogTruncatedError`, ...) ends the wait and
    takes nothing from the others.
    """
    clock = engine.clock
    deadline = clock.monotonic() + max_wait_ms / 1000
    enough = min(min_bytes, max_bytes)
    while True:
        seen = engine.bell()
        results = read_once(requests, max_bytes)
        found = sum(len(result.fetched.view) for result in results if result.fetched is not None)
        if found >= enough or not requests or any(result.error for result in results):
            return results
        remaining = deadline - clock.monotonic()
        if remaining <= 0:
            return results
        engine.wait(seen, remaining)


def read_once(requests: Sequence[FetchRequest], max_bytes: int) -> list[FetchResult]:
    """What is there now; never waits."""
    results = []
    remaining = max_bytes
    found = 0
    for request in requests:
        result = _read_one(request, min(request.max_bytes, remaining), anything=found == 0)
        if result.fetched is not None:
            found += len(result.fetched.view)
            remaining = max(remaining - len(result.fetched.view), 0)
        results.append(result)
    return results


def _read_one(request: FetchRequest, limit: int, *, anything: bool) -> FetchResult:
    try:
        fetched = request.log.fetch(request.offset, max(limit, 0), request.cursor)
    except StreamlogError as error:
        return FetchResult(request, None, error)
    if len(fetched.view) > limit and not anything:
        # The log returned one batch although it is larger than asked for: not this time.
        fetched = fetched._replace(view=fetched.view[:0], cursor=request.cursor)
    return FetchResult(request, fetched, None)
