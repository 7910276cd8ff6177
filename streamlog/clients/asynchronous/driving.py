"""Driving the clients' flows on an event loop, and making twins of their methods.

`asynchronous(Consumer.seek)` is a coroutine function with the name, parameters and text of the
method, for a class that drives its flow; `on_worker(StreamLog.topics)` one that has a worker
call the method. So the twins follow their originals, in signature and in what they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from streamlog.clients.asynchronous.bells import bell_of
from streamlog.clients.awaitable import TURN_S
from streamlog.clients.flows import Call, Flow, Invoke, Wait, flow_of
from streamlog.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from streamlog.broker.engine import Engine
    from streamlog.clients.asynchronous.workers import Workers
    from streamlog.clients.flows import Effect

P = ParamSpec("P")
R = TypeVar("R")


class Driver:
    """Drives flows of one client: calls run on a worker, and the bell is awaited."""

    __slots__ = ("_engine", "_turn_began", "_workers")

    def __init__(self, engine: Engine, workers: Workers) -> None:
        self._engine = engine
        self._workers = workers
        self._turn_began = SYSTEM_CLOCK.monotonic()

    async def drive(self, flow: Flow[R]) -> R:
        """Drive a flow to its end. A cancellation is thrown into it, as an interrupt would be."""
        try:
            effect = next(flow)
            while True:
                try:
                    answer = await self._perform(effect)
                except BaseException as error:  # noqa: BLE001  # the flow's, to answer or pass on
                    effect = flow.throw(error)
                else:
                    effect = flow.send(answer)
        except StopIteration as end:
            result: R = end.value
            return result
        finally:
            flow.close()

    async def _perform(self, effect: Effect) -> Any:
        answer = None
        if isinstance(effect, Call):
            if effect.attempt is not None and effect.attempt():
                return None
            answer = await self._workers.run(effect.function)
        elif isinstance(effect, Wait):
            await bell_of(self._engine).wait(self._engine, effect)
        elif isinstance(effect, Invoke):
            returned = effect.function(*effect.arguments)
            if isawaitable(returned):
                await returned
        else:
            await self.pause()
            return None
        self._turn_began = SYSTEM_CLOCK.monotonic()
        return answer

    async def pause(self) -> None:
        """Let the event loop turn if it has waited for a while."""
        if SYSTEM_CLOCK.monotonic() - self._turn_began >= TURN_S:
            await asyncio.sleep(0)
            self._turn_began = SYSTEM_CLOCK.monotonic()


class _Driven(Protocol):
    async def _drive(self, begin: Callable[[Any], Flow[R]]) -> R: ...


D = TypeVar("D", bound=_Driven)


def asynchronous(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """The twin of a method made by `flows.synchronous`, driving the same flow."""
    flow = flow_of(method)

    @wraps(method)
    async def twin(self: _Driven, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._drive(lambda client: flow(client, *args, **kwargs))

    return twin


class _OnWorker(Protocol):
    def _synchronous(self) -> tuple[Any, Workers]: ...


def on_worker(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """The twin of a method that takes its time: a worker calls it."""

    @wraps(method)
    async def twin(self: _OnWorker, /, *args: P.args, **kwargs: P.kwargs) -> R:
        original, workers = self._synchronous()
        return await workers.run(partial(method, original, *args, **kwargs))

    return twin
