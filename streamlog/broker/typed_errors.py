"""What the machine refuses, said to the caller of an engine as one of streamlog's errors."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from streamlog.broker.directory import translate_os_error
from streamlog.errors import StreamlogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamlog.broker.topic_operations import TopicOperations

_Engine = TypeVar("_Engine", bound="TopicOperations")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@contextlib.contextmanager
def typed_errors(path: str) -> Iterator[None]:
    """Let a bare `OSError` inside be `InputOutputError`, `DiskFullError` or what fits it better.

    `path` is what it is about where it does not say so itself.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, StreamlogError):
            raise
        raise translate_os_error(error, error.filename or path) from error


def typed_error(error: StreamlogError | OSError, path: str) -> StreamlogError:
    """The error that `typed_errors` would raise in the place of this one."""
    if isinstance(error, StreamlogError):
        return error
    typed = translate_os_error(error, error.filename or path)
    assert isinstance(typed, StreamlogError)
    return typed


def with_typed_errors(
    method: Callable[Concatenate[_Engine, _Arguments], _Result],
) -> Callable[Concatenate[_Engine, _Arguments], _Result]:
    """An engine's method under `typed_errors`."""

    @functools.wraps(method)
    def call(
        engine: _Engine, /, *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Result:
        with typed_errors(engine.place.path):
            return method(engine, *arguments, **named)

    return call
