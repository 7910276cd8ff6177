"""Error codes against two other lists of them, and their way to exceptions and back."""

from __future__ import annotations

import inspect
import pickle

import pytest
from kio.schema.errors import ErrorCode as KioErrorCode

from streamlog import errors
from streamlog.protocol.error_codes import (
    NONE,
    UNKNOWN_SERVER_ERROR,
    code_of,
    error_code,
    error_codes,
    exception_for,
)
from tests.protocol.foreign import errors as kafka_python

CODES = [code for code in error_codes().values() if code.number != NONE]

# Raised by and for the program that made the mistake, never because of what a client sent.
LOCAL = {
    errors.StreamlogError,
    errors.UsageError,
    errors.ClosedError,
    errors.ForkedHandleError,
    errors.ConcurrentUseError,
    errors.TopicError,
    errors.SendError,
    errors.SerializationError,
    errors.BufferExhaustedError,
    errors.DeliveryError,
    errors.PositionError,
    errors.BrokerError,
    errors.GroupError,
}


def classes() -> list[type[errors.StreamlogError]]:
    found = [member for _, member in inspect.getmembers(errors, inspect.isclass)]
    return [each for each in found if issubclass(each, errors.StreamlogError)]


def test_codes_are_those_of_kio() -> None:
    """Ours are of a later Kafka; of what both have, number, name and retriable are the same."""
    theirs = {(int(code), code.name.upper(), code.retriable) for code in KioErrorCode}
    ours = {(code.number, code.name, code.retriable) for code in error_codes().values()}
    assert theirs <= ours
    assert {number for number, _, _ in ours - theirs} <= {134, 135, 136}
    assert sorted(error_codes()) == list(range(-1, 137))


def test_flags_are_those_of_kafka_python() -> None:
    """But for two in which it differs from Kafka itself, which `tests/interop` asks."""
    compared = set()
    for name, theirs in inspect.getmembers(kafka_python, inspect.isclass):
        number = getattr(theirs, "errno", None)
        if number not in error_codes() or number in (2, 75):
            continue
        compared.add(number)
        ours = error_code(number)
        assert ours.retriable == issubclass(theirs, kafka_python.RetriableError), name
        refreshes = issubclass(theirs, kafka_python.InvalidMetadataError)
        assert ours.refreshes_metadata == refreshes, name
    assert len(compared) > 80


def test_each_code_says_what_it_means() -> None:
    messages = [code.message for code in error_codes().values()]
    assert len(set(messages)) == len(messages)
    assert all(5 < len(message) < 100 for message in messages)


@pytest.mark.parametrize("code", CODES, ids=[code.name for code in CODES])
def test_a_code_becomes_an_exception_and_a_code_again(code: object) -> None:
    number, name, retriable, *_ = code  # type: ignore[misc]
    raised = exception_for(number, topic="orders")
    for exception in (raised, pickle.loads(pickle.dumps(raised))):
        assert code_of(exception) == exception.code == number
        assert exception.retriable is retriable
        assert (exception.code_name, exception.topic) == (name, "orders")
        assert str(exception).startswith(name)


def test_an_exception_has_the_class_of_its_code() -> None:
    """Who catches an error of the embedded log catches the broker's."""
    expected = {
        3: errors.UnknownTopicError,
        36: errors.TopicExistsError,
        10: errors.RecordTooLargeError,
        1: errors.OffsetOutOfRangeError,
        2: errors.CorruptRecordError,
        35: errors.UnsupportedVersionError,
        27: errors.BrokerError,
    }
    assert {number: type(exception_for(number)) for number in expected} == expected
    for code in CODES:
        kind = type(exception_for(code.number))
        assert kind is errors.BrokerError or kind.code == code.number


def test_the_brokers_own_message_is_kept() -> None:
    assert str(exception_for(40, "no such setting")) == "INVALID_CONFIG: no such setting"
    assert str(exception_for(40)) == "INVALID_CONFIG: a setting's name or value is not valid"


def test_a_code_of_a_later_kafka_is_kept_as_a_number() -> None:
    exception = exception_for(1234)
    assert isinstance(exception, errors.BrokerError)
    assert (exception.code, exception.retriable, exception.code_name) == (1234, False, "1234")
    assert code_of(exception) == 1234


def test_every_exception_has_a_code_or_never_leaves_the_process() -> None:
    assert {kind for kind in classes() if kind.code is None} == LOCAL
    for kind in classes():
        expected = UNKNOWN_SERVER_ERROR if kind.code is None else kind.code
        assert code_of(kind("text")) == expected
        assert expected in error_codes()


def test_other_exceptions_are_a_server_error() -> None:
    assert code_of(ZeroDivisionError()) == UNKNOWN_SERVER_ERROR
