"""Who may read on when connections together hold too much: somebody always can who needs to."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial

from streamlog.listener.memory_budget import MemoryBudget

LIMIT = 1000
REQUEST = 600
PIECE = 200


class Client:
    """A connection of one request after the other, whose answer takes a turn of the loop."""

    def __init__(self, budget: MemoryBudget, requests: int) -> None:
        self.budget, self.left = budget, requests
        self.held = 0
        self.is_reading = True
        budget.join(self)

    @property
    def holds_much(self) -> bool:
        return self.held > 10

    def stop_reading(self) -> None:
        self.is_reading = False

    def go_on_reading(self) -> None:
        self.is_reading = True

    @property
    def may_receive(self) -> bool:
        return self.left > 0 and self.is_reading and self.held < REQUEST

    def receive(self) -> None:
        self.held += PIECE
        self.budget.take(PIECE)

    def be_answered(self) -> None:
        self.held, self.left = 0, self.left - 1
        self.budget.give(self, REQUEST)


def take_turn(turns: deque[Callable[[], object]]) -> None:
    turns.popleft()()


def test_all_get_their_answers_in_whatever_order_things_happen() -> None:
    for seed in range(300):
        source = random.Random(seed)
        turns: deque[Callable[[], object]] = deque()
        budget = MemoryBudget(LIMIT, turns.append)
        clients = [Client(budget, source.randint(1, 3)) for _ in range(6)]
        while any(client.left for client in clients):
            possible: list[Callable[[], object]] = [c.receive for c in clients if c.may_receive]
            possible += [c.be_answered for c in clients if c.held == REQUEST]
            possible += [partial(take_turn, turns)] if turns else []
            assert possible, f"seed {seed}: nobody may read, and nothing is being answered"
            source.choice(possible)()
        assert budget.used == 0
        assert budget.largest <= LIMIT + REQUEST + len(clients) * PIECE
