"""Kafka's error codes as data, and how they become exceptions and come of them.

A code that is not known, a newer broker's, is kept as the number that it is.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from streamlog import errors
from streamlog.protocol.definitions import load_text

UNKNOWN_SERVER_ERROR: Final = -1
NONE: Final = 0
UNSUPPORTED_VERSION: Final = 35


class ErrorCode(NamedTuple):
    """One code, under the name that Kafka gives it.

    `retriable`: the same request may succeed later. `refreshes_metadata`: but first the client
    has to ask who leads what.
    """

    number: int
    name: str
    retriable: bool
    refreshes_metadata: bool
    message: str


# Exceptions that mean the same whether they were raised here or answered by a broker. Others
# share one of these codes when they are answered, but are not what the code stands for.
_CLASSES: dict[int, type[errors.StreamlogError]] = {
    1: errors.OffsetOutOfRangeError,
    2: errors.CorruptRecordError,
    3: errors.UnknownTopicError,
    10: errors.RecordTooLargeError,
    17: errors.InvalidTopicError,
    32: errors.InvalidTimestampError,
    35: errors.UnsupportedVersionError,
    36: errors.TopicExistsError,
    40: errors.ConfigError,
    45: errors.OutOfOrderSequenceError,
    47: errors.InvalidProducerEpochError,
    56: errors.StorageError,
    87: errors.InvalidRecordError,
}


@cache
def error_codes() -> dict[int, ErrorCode]:
    """Every known code by its number: one line each in `definitions/error_codes.json`."""
    listed = msgspec.json.decode(load_text("error_codes"), type=list[ErrorCode])
    return {code.number: code for code in listed}


def error_code(number: int) -> ErrorCode:
    """What is known of a code; of an unknown one the number is its name."""
    known = error_codes().get(number)
    if known is not None:
        return known
    return ErrorCode(number, str(number), False, False, "an error code that is not known here")


def exception_for(number: int, message: str | None = None, **context: Any) -> errors.StreamlogError:
    """The exception for a code in an answer, which is not NONE.

    `message` is the broker's own where the answer has one. The exception has the code itself,
    its name as `code_name`, and is retriable if the code is.
    """
    assert number != NONE, "no error"
    code = error_code(number)
    kind = _CLASSES.get(number, errors.BrokerError)
    return kind(
        f"{code.name}: {message or code.message}",
        code=number,
        code_name=code.name,
        retriable=code.retriable,
        **context,
    )


def code_of(exception: BaseException) -> int:
    """The code with which an endpoint answers after `exception`."""
    code = exception.code if isinstance(exception, errors.StreamlogError) else None
    return UNKNOWN_SERVER_ERROR if code is None else code
