"""Requests about groups on their way to a coordinator and back: no thread waits with them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request


async def ask_coordinator(connection: Connection, request: Request, body: Any = None) -> Any:
    """What the coordinator answers, perhaps much later: to `body`, where it is not the request's.

    A member whose connection ends stays a member until its session does, as in Kafka.
    """
    endpoint = connection.endpoint
    answer: asyncio.Future[Any] = endpoint.loop.create_future()
    await endpoint.run(
        endpoint.engine.groups.submit,
        request.body if body is None else body,
        request.version,
        lambda response: _hand_over(endpoint, answer, response),
        client_id=request.client_id or "",
        client_host=f"/{connection.client_host}",
    )
    return await answer


def _hand_over(endpoint: Endpoint, answer: asyncio.Future[Any], response: Any) -> None:
    """On any thread, and after the listener's end too: then there is nobody to be told."""
    with suppress(RuntimeError):  # the loop is closed
        endpoint.loop.call_soon_threadsafe(_resolve, answer, response)


def _resolve(answer: asyncio.Future[Any], response: Any) -> None:
    if not answer.done():
        answer.set_result(response)
