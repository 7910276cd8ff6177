"""A bounded sample of what the fuzzer does, without its feedback: messages damaged at random."""

from __future__ import annotations

from random import Random

from tests.fuzz.wire import check_message, check_stream, seeds, stream_seeds
from tests.protocol.mutation import mutated

ROUNDS = 4


def test_damaged_messages() -> None:
    rng = Random("damaged messages")
    sound = [check_message(seed) for seed in seeds()]
    assert sum(sound) > len(sound) // 2  # long ones are cut
    outcomes = [
        check_message(seed[:2] + mutated(rng, seed[2:])) for seed in seeds() for _ in range(ROUNDS)
    ]
    assert 0.1 < sum(outcomes) / len(outcomes) < 0.9


def test_damaged_streams() -> None:
    rng = Random("damaged streams")
    assert {len(check_stream(seed)) for seed in stream_seeds()} == {1, 2}
    found = [len(check_stream(mutated(rng, s))) for s in stream_seeds() for _ in range(4 * ROUNDS)]
    assert set(found) == {0, 1, 2}
