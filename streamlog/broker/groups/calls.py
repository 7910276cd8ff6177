"""A request on its way through a coordinator: it is answered once, now or later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamlog.coordinator import refusal

Answer = Callable[[Any], None]


class Call:
    """The token that comes back with the reply. `on_reply` gets the response, from any thread."""

    __slots__ = ("_on_reply", "api_version", "is_answered", "request")

    def __init__(self, request: Any, api_version: int, on_reply: Answer) -> None:
        self.request = request
        self.api_version = api_version
        self.is_answered = False
        self._on_reply = on_reply

    def answer(self, response: Any) -> None:
        assert not self.is_answered, "a request is answered once"
        self.is_answered = True
        self._on_reply(response)

    def refuse(self, code: int) -> None:
        """Answer with an error, in the shape of its response; unless it was answered."""
        if not self.is_answered:
            self.answer(refusal(self.request, self.api_version, code))
