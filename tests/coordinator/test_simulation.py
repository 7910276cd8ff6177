"""Histories of groups from seeds: every promise in each, the same history from the same seed.

    STREAMLOG_SEEDS=100000 python -m pytest -m soak tests/coordinator/test_simulation.py

That the promises would notice is proven by bugs that are planted in the machine.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from streamlog.coordinator import group_coordinator
from streamlog.coordinator.classic import rebalance as classic_rebalance
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.consumer import heartbeat, news, reconciliation
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.decision import Decision
from streamlog.coordinator.offsets import commit
from streamlog.coordinator.offsets.store import OffsetStore
from tests.coordinator.simulation import Simulation
from tests.machine.sizes import size

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 40
SEEDS = 1_000
SEEDS_AT_LEAST = 400
"""So many seeds find each of the planted bugs."""


def run(seeds: Iterable[int]) -> None:
    for seed in seeds:
        try:
            Simulation(seed).run(STEPS)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def digest(seeds: Iterable[int]) -> str:
    """Of every answer and every byte of the log."""
    found = hashlib.sha256()
    for seed in seeds:
        simulation = Simulation(seed)
        simulation.run(STEPS)
        found.update("\n".join(simulation.history).encode())
        found.update(b"".join(simulation.log.batches))
    return found.hexdigest()


@pytest.mark.parametrize("start", range(0, SEEDS, 250))
def test_groups_keep_their_promises(start: int) -> None:
    run(range(start, start + 250))


@pytest.mark.soak
@pytest.mark.parametrize("part", range(100))
def test_groups_keep_their_promises_for_long(part: int) -> None:
    run(range(part, size("SEEDS", 100_000), 100))


@pytest.mark.soak
def test_groups_keep_their_promises_in_long_histories() -> None:
    for seed in range(2_000):
        Simulation(seed).run(400)


def test_a_seed_is_replayed_identically_by_another_process() -> None:
    """Also by one that orders its sets in another way."""
    code = "from tests.coordinator.test_simulation import digest; print(digest(range(30)))"
    command = [sys.executable, "-c", code]
    others = [
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert others == [digest(range(30))] * 2


# --------------------------------------------------------------------------------- planted bugs

Plant = Callable[[pytest.MonkeyPatch], None]


def every_partition_is_free(patch: pytest.MonkeyPatch) -> None:
    """A partition is given to a member while another has it."""
    real = reconciliation._next_assignment
    patch.setattr(
        reconciliation,
        "_next_assignment",
        lambda member, target, owned, owner_of: real(member, target, owned, lambda _: None),
    )


def partitions_are_not_asked_back(patch: pytest.MonkeyPatch) -> None:
    """A member is taken to have given up what it did not say that it has."""
    patch.setattr(reconciliation, "_has_any", lambda owned, partitions: False)


def any_epoch_may_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commit, "_check_consumer", lambda group, request, version: commit._anything)


def any_generation_may_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(commit, "_check_classic", lambda decision, group, request: None)


def an_old_epoch_may_beat(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(heartbeat, "_check_epoch", lambda member, epoch, owned: None)


def decisions_change_the_live_group(patch: pytest.MonkeyPatch) -> None:
    """A decision that is dropped leaves something behind."""
    patch.setattr(ClassicGroup, "copy", lambda group: group)


def decisions_change_the_recorded_group(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConsumerGroup, "copy", lambda group: group)


def an_old_assignment_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Any leader's SyncGroup counts, be it of a generation that is over."""
    patch.setattr(ClassicGroup, "check_generation", lambda group, generation: None)


def parked_requests_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Who waits when a member is removed never hears of it."""

    def refuse(decision: Decision, group: ClassicGroup, member: Any, *others: Any) -> None:
        if member.member_id in group.members:
            group.change(member.member_id, joining=None, syncing=None)

    patch.setattr(classic_rebalance, "refuse_parked", refuse)
    patch.setattr(classic_rebalance, "reply_sync", lambda *arguments: None)


def timers_are_lost(patch: pytest.MonkeyPatch) -> None:
    """Who dies without a word is never missed."""
    forget = lambda decision, event: decision.cancel(event)  # noqa: E731
    patch.setattr(group_coordinator, "expire", forget)


def a_commit_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Every seventh commit is answered and not remembered."""
    real = OffsetStore.replay
    count = [0]

    def replay(store: OffsetStore, *arguments: Any) -> None:
        count[0] += 1
        if count[0] % 7:
            real(store, *arguments)

    patch.setattr(OffsetStore, "replay", replay)


def nobody_hears_of_free_partitions(patch: pytest.MonkeyPatch) -> None:
    """A member in a process is told that there is no news when there is."""
    patch.setattr(news, "_can_move", lambda group, member: False)


PLANTED: list[Plant] = [
    every_partition_is_free,
    partitions_are_not_asked_back,
    any_epoch_may_commit,
    any_generation_may_commit,
    an_old_epoch_may_beat,
    decisions_change_the_live_group,
    decisions_change_the_recorded_group,
    an_old_assignment_is_kept,
    parked_requests_are_forgotten,
    timers_are_lost,
    a_commit_is_lost,
    nobody_hears_of_free_partitions,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        run(range(SEEDS_AT_LEAST))
