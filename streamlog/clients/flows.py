"""What clients do, written once for callers that block and for callers that `await`.

A flow is a generator. It decides and keeps the books, and yields what is not to be had at once;
whoever drives it performs that, and sends the answer in or throws in what was raised:

    Wait    until something is appended, or a time is over
    Call    a function that may take long: a cold page, another process's lock, a sync
    Pause   a moment for others, in the middle of much work
    Invoke  a function of the user's, which may be a coroutine function where there is a loop

`run` performs them where it stands, on its caller's thread. `streamlog.clients.asynchronous` lets
its event loop turn meanwhile. (httpx drives its authentication flows in the same two ways.)

Rules
    * A flow may be left at any `yield`, by an interrupt or a cancellation: it is thrown in, and the
      flow puts back what it had taken.
    * A `Call` that is left may go on, with nobody to hear of its end. So it reads, or does what may
      as well be done twice; only its answer changes what a flow keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from streamlog.errors import UsageError

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine

P = ParamSpec("P")
R = TypeVar("R")


class Wait(NamedTuple):
    """Until the directory's bell is no longer at `seen`, or `seconds` are over (None: no limit).

    `ready()`, from any thread, says whether a bell that rang was about what is waited for.
    """

    seen: int
    seconds: float | None
    ready: Callable[[], bool]

    def perform(self, engine: Engine) -> bool:
        return engine.wait(self.seen, self.seconds)


class Call(NamedTuple):
    """The answer of `function()`, which may take long.

    `attempt()` does the same where that takes no time, and says whether it did; the answer is
    then None.
    """

    function: Callable[[], Any]
    attempt: Callable[[], bool] | None = None

    def perform(self, _engine: Engine) -> Any:
        return self.function()


class Pause(NamedTuple):
    """Let others run, if this went on for long already."""

    def perform(self, _engine: Engine) -> None:
        """Nothing: other threads run anyway."""


class Invoke(NamedTuple):
    """Call the user's `function` with these arguments, and wait for what it returns to be done.

    It may use the client that this flow is of.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def perform(self, _engine: Engine) -> None:
        returned = self.function(*self.arguments)
        if hasattr(returned, "__await__"):
            if hasattr(returned, "close"):
                returned.close()
            raise UsageError(
                f"{self.function!r} is a coroutine function: that is for consumers of "
                "open_async(), which are closed before their log"
            )


Effect = Wait | Call | Pause | Invoke
Flow = Generator[Effect, Any, R]


def call(function: Callable[[], R]) -> Flow[R]:
    """`Call`, for a flow to `yield from`: its answer has the function's type."""
    answer: R = yield Call(function)
    return answer


def run(flow: Flow[R], engine: Engine) -> R:
    """Drive a flow to its end, on this thread."""
    try:
        effect = next(flow)
        while True:
            try:
                answer = effect.perform(engine)
            except BaseException as error:  # noqa: BLE001  # the flow's, to answer or to pass on
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as end:
        result: R = end.value
        return result
    finally:
        flow.close()  # an interrupt between two steps: what was taken is put back now, not later


class _Blocking(Protocol):
    def _run(self, flow: Flow[R]) -> R: ...


S = TypeVar("S", bound=_Blocking)


def synchronous(flow: Callable[Concatenate[S, P], Flow[R]]) -> Callable[Concatenate[S, P], R]:
    """The method whose text is this flow: it returns at the flow's end, with its result.

    `flow_of(method)` is the flow again, for the asynchronous twin.
    """

    @wraps(flow)
    def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(flow(self, *args, **kwargs))

    # `help()` and `inspect.signature()` show what callers get.
    returned = flow.__annotations__["return"]
    flow.__annotations__["return"] = returned.removeprefix("Flow[").removesuffix("]")
    return method


def flow_of(method: Callable[P, R]) -> Callable[P, Flow[R]]:
    """The flow that `synchronous` made a method of."""
    return cast("Callable[P, Flow[R]]", method.__wrapped__)  # type: ignore[attr-defined]
