"""ApiVersions: what is offered here (facts 8.4, KIP-511)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from streamlog.listener.answers import INVALID_REQUEST, REBOOTSTRAP_REQUIRED
from streamlog.protocol import message
from streamlog.protocol.api import offered_versions, refusal

if TYPE_CHECKING:
    from streamlog.listener.connection import Connection
    from streamlog.protocol.exchange import Request

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
_response = message("ApiVersionsResponse")


def answer(connection: Connection, request: Request) -> Any:
    """The table of APIs. A version that is not offered is told those that are, in version 0.

    No features are listed: what they switch on at clients (transactions of version 2) is not
    offered.
    """
    if request.body is None:
        return refusal(connection.offer)
    error_code = _refused(connection, request)
    if error_code:
        return _response.Value(error_code=error_code)
    return _response.Value(api_keys=offered_versions(connection.offer))


def _refused(connection: Connection, request: Request) -> int:
    body = request.body
    if request.version >= 3 and not (
        _SOFTWARE.fullmatch(body.client_software_name)
        and _SOFTWARE.fullmatch(body.client_software_version)
    ):
        return INVALID_REQUEST
    if (body.cluster_id is None) != (body.node_id == -1):
        return INVALID_REQUEST
    endpoint = connection.endpoint
    if body.cluster_id is not None and (body.cluster_id, body.node_id) != (
        endpoint.cluster_id,
        endpoint.node_id,
    ):
        return REBOOTSTRAP_REQUIRED
    return 0
