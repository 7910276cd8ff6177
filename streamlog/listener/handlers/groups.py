"""Members, and groups as administrators see them (facts 4.1 to 4.4, 8.5, 8.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streamlog.errors import ClosedError, ForkedHandleError, StreamlogError
from streamlog.listener.answers import (
    COORDINATOR_NOT_AVAILABLE,
    INVALID_REQUEST,
    UNSUPPORTED_VERSION,
    code_for,
)
from streamlog.listener.group_requests import ask_coordinator
from streamlog.protocol import message

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request

_GROUP: Final = 0
_TRANSACTION: Final = 1
_MANY_KEYS = 4  # the version since which FindCoordinator takes any number of keys (KIP-699)
_OPERATIONS = 0x0D48  # without an authorizer: all that there are of a group

_found = message("FindCoordinatorResponse")
_coordinator = _found.structs["Coordinator"]


async def answer(connection: Connection, request: Request) -> Any:
    """What the coordinator says, word for word."""
    return await ask_coordinator(connection, request)


async def describe(connection: Connection, request: Request) -> Any:
    """DescribeGroups and ConsumerGroupDescribe: groups and their members."""
    response = await ask_coordinator(connection, request)
    if request.body.include_authorized_operations:
        for group in response.groups:
            if group.error_code == 0:
                group.authorized_operations = _OPERATIONS
    return response


# ---------------------------------------------------------------- FindCoordinator


async def find_coordinator(connection: Connection, request: Request) -> Any:
    """Where the coordinators of groups listen: here, unless another process was first."""
    return await connection.endpoint.run(_find_all, connection.endpoint, request)


def _find_all(endpoint: Endpoint, request: Request) -> Any:
    body = request.body
    if request.version >= _MANY_KEYS:
        found = [_find(endpoint, body.key_type, key) for key in body.coordinator_keys]
        return _found.Value(coordinators=found)
    found = _find(endpoint, body.key_type, body.key)
    return _found.Value(
        error_code=found.error_code, node_id=found.node_id, host=found.host, port=found.port
    )


def _find(endpoint: Endpoint, kind: int, key: str) -> Any:
    if kind != _GROUP:  # there are no transactions, and no coordinators of share groups
        code = UNSUPPORTED_VERSION if kind == _TRANSACTION else INVALID_REQUEST
        return _nowhere(key, code)
    try:
        address = endpoint.engine.groups.coordinator_address(key)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _nowhere(key, code_for(error))
    if address is None:
        return _nowhere(key, COORDINATOR_NOT_AVAILABLE)
    for node_id, at in endpoint.nodes().items():
        if at == address:
            return _coordinator(key, node_id, *address)
    return _nowhere(key, COORDINATOR_NOT_AVAILABLE)  # it has just gone


def _nowhere(key: str, code: int) -> Any:
    return _coordinator(key, -1, "", -1, code)
