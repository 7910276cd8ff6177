"""Every legal state after a crash of the stories keeps the promises.

The plain tests draw some thousands of states; those marked `system`, which `.ci/run` always
runs, draw 50,000, all single losses at every cut of every story, and stories that nobody wrote.
`STREAMLOG_CRASH_SEED` in the environment draws others than the usual ones; a failure names the
seed that it came from.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.crash.explorer import Explorer, Plan
from tests.crash.stories import STORIES, more, random_story

SEED = int(os.environ.get("STREAMLOG_CRASH_SEED", "1"))
STATES = 50_000


@pytest.mark.parametrize("name", STORIES)
def test_promises_are_kept_in_a_sample_of_states(name: str) -> None:
    explorer = Explorer(name, STORIES[name], Plan(states=300), SEED, after=more)
    found = explorer.run()
    assert found is None, str(found)
    assert explorer.states >= 300


@pytest.mark.parametrize("name", STORIES)
def test_promises_are_kept_where_renames_and_removals_have_no_order(name: str) -> None:
    plan = Plan(states=300, disordered=True)
    explorer = Explorer(name, STORIES[name], plan, SEED, after=more)
    found = explorer.run()
    assert found is None, str(found)


@pytest.mark.system
@pytest.mark.parametrize("name", STORIES)
def test_promises_are_kept_in_many_states(name: str) -> None:
    states = -(-STATES // len(STORIES))
    explorer = Explorer(name, STORIES[name], Plan(states=states), SEED + 1, after=more)
    found = explorer.run()
    assert found is None, str(found)
    assert explorer.states >= states


@pytest.mark.system
@pytest.mark.parametrize("name", STORIES)
def test_promises_are_kept_whatever_single_part_is_lost(name: str) -> None:
    plan = Plan(states=1_000_000, every_single=True)
    explorer = Explorer(name, STORIES[name], plan, SEED, after=more)
    found = explorer.run()
    assert found is None, str(found)
    assert explorer.states > 100


@pytest.mark.system
@pytest.mark.parametrize("number", range(20))
def test_promises_are_kept_in_stories_that_nobody_wrote(number: int) -> None:
    name = f"random {SEED} {number}"
    story = random_story(random.Random(name))
    explorer = Explorer(name, story, Plan(states=1000), SEED, after=more)
    found = explorer.run()
    assert found is None, str(found)


def test_an_exploration_is_repeatable() -> None:
    """The same seed draws the same states: what failed once fails again."""

    def states(seed: int) -> tuple[int, int]:
        explorer = Explorer("rolls", STORIES["rolls"], Plan(states=150), seed, after=more)
        assert explorer.run() is None
        return explorer.states, explorer.repeated

    assert states(SEED) == states(SEED)
    assert states(SEED) != states(SEED + 1)
