"""Errors of the engine as the codes and texts of an answer."""

from __future__ import annotations

import logging
from typing import Final

from streamlog.errors import StreamlogError
from streamlog.protocol.error_codes import UNKNOWN_SERVER_ERROR, code_of

NONE: Final = 0
UNKNOWN_TOPIC_OR_PARTITION: Final = 3
COORDINATOR_NOT_AVAILABLE: Final = 15
INVALID_TOPIC_EXCEPTION: Final = 17
INVALID_REQUIRED_ACKS: Final = 21
UNSUPPORTED_VERSION: Final = 35
TOPIC_ALREADY_EXISTS: Final = 36
INVALID_PARTITIONS: Final = 37
INVALID_REPLICATION_FACTOR: Final = 38
INVALID_REPLICA_ASSIGNMENT: Final = 39
INVALID_CONFIG: Final = 40
INVALID_REQUEST: Final = 42
INVALID_TXN_STATE: Final = 48
FETCH_SESSION_ID_NOT_FOUND: Final = 70
INVALID_FETCH_SESSION_EPOCH: Final = 71
TOPIC_DELETION_DISABLED: Final = 73
FENCED_LEADER_EPOCH: Final = 74
UNKNOWN_LEADER_EPOCH: Final = 75
UNSUPPORTED_COMPRESSION_TYPE: Final = 76
UNKNOWN_TOPIC_ID: Final = 100
FETCH_SESSION_TOPIC_ID_ERROR: Final = 106
MISMATCHED_ENDPOINT_TYPE: Final = 114
REBOOTSTRAP_REQUIRED: Final = 129

_logger = logging.getLogger("streamlog.listener")


def code_for(error: BaseException) -> int:
    """The code of `error`. One that has none is a defect, or the end: it is logged."""
    code = code_of(error)
    if code == UNKNOWN_SERVER_ERROR:
        _logger.error("a request failed", exc_info=error)
    return code


def text_of(error: BaseException) -> str:
    """What an answer says beside the code: nothing of what is no business of a client's."""
    return error.message if isinstance(error, StreamlogError) else type(error).__name__
