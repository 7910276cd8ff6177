"""Every legal state after a crash of the stories keeps the promises.

The plain tests draw some thousands of states; those marked `system`, which `.ci/run` always
runs, draw 50,000, all single losses at every cut of every story, and stories that nobody wrote.
`STREAMLOG_CRASH_SEED` in the environment draws others than the usual ones; a failure names the
seed that it came from. The long form, half of it in stories that nobody wrote:

    STREAMLOG_CRASH_STATES=1000000 python -m pytest -m soak tests/crash/test_explorer.py
"""

from __future__ import annotations

import os
import random

import pytest

from tests.crash.explorer import Explorer, Plan
from tests.crash.stories import STORIES, more, random_story
from tests.machine.sizes import size

SEED = int(os.environ.get("STREAMLOG_CRASH_SEED", "1"))
STATES = 50_000
MANY_STATES = size("CRASH_STATES", 1_000_000)
STATES_A_RANDOM_STORY = 1000


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
    explore_a_random_story(SEED, number)


@pytest.mark.soak
@pytest.mark.parametrize("name", STORIES)
def test_promises_are_kept_in_very_many_states(name: str) -> None:
    states = -(-MANY_STATES // 2 // len(STORIES))
    explorer = Explorer(name, STORIES[name], Plan(states=states), SEED + 2, after=more)
    found = explorer.run()
    assert found is None, str(found)
    assert explorer.states >= states


@pytest.mark.soak
@pytest.mark.parametrize("number", range(-(-MANY_STATES // 2 // STATES_A_RANDOM_STORY)))
def test_promises_are_kept_in_very_many_stories_that_nobody_wrote(number: int) -> None:
    explore_a_random_story(SEED + 2, number)


def explore_a_random_story(seed: int, number: int) -> None:
    name = f"random {seed} {number}"
    story = random_story(random.Random(name))
    explorer = Explorer(name, story, Plan(states=STATES_A_RANDOM_STORY), seed, after=more)
    found = explorer.run()
    assert found is None, str(found)
    assert explorer.states >= STATES_A_RANDOM_STORY


def test_an_exploration_is_repeatable() -> None:
    """The same seed draws the same states: what failed once fails again."""

    def states(seed: int) -> tuple[int, int]:
        explorer = Explorer("rolls", STORIES["rolls"], Plan(states=150), seed, after=more)
        assert explorer.run() is None
        return explorer.states, explorer.repeated

    assert states(SEED) == states(SEED)
    assert states(SEED) != states(SEED + 1)
