"""What holds after every step of a simulation, and what has to hold in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlog.coordinator import ErrorCode
from streamlog.coordinator.classic.states import ClassicState
from streamlog.coordinator.consumer.group import ConsumerGroupState
from tests.coordinator.clients import ClassicConsumer, Consumer, Request
from tests.coordinator.driver import Process, beat_fields, commit_codes, make

if TYPE_CHECKING:
    from tests.coordinator.simulation import Simulation


class Promises:
    """A model of what clients were told, and the checks against it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._offsets: dict[tuple[str, int], int] = {}
        self._epoch = 0
        self._fetched_at = 0
        self.unanswered: set[Any] = set()
        """Requests whose answers nobody will hear; they are answered all the same."""

    # ----------------------------------------------------------------------------- each step

    def check(self) -> None:
        self._check_owners()
        self.check_epochs(self._simulation.processes[0])
        self._check_news()
        if self._fetched_at != self._simulation.log.end:
            self._fetched_at = self._simulation.log.end
            assert self._simulation.fetch() == self._offsets

    def _check_owners(self) -> None:
        """No partition is held by two members, and no client has what its member does not."""
        group = self._simulation.consumer_group()
        if group is None:
            self._check_generation()
            return
        owners: dict[Any, str] = {}
        for member in group.members.values():
            for partition in {**member.assigned, **member.revoking}:
                assert partition not in owners, f"{partition} has two owners"
                owners[partition] = member.member_id
        assert owners == group.owners
        for client in self._simulation.clients:
            if isinstance(client, Consumer) and not client.stopped and client.owned:
                member_or_none = group.members.get(client.member_id)
                if member_or_none is not None and client.epoch == member_or_none.epoch:
                    held = {**member_or_none.assigned, **member_or_none.revoking}
                    has = {(bytes(t).lstrip(b"\1").decode(), p) for t, p in held}
                    assert client.owned <= has, f"{client.name} has more than it was given"

    def _check_generation(self) -> None:
        """In one generation of a classic group no partition is given to two members."""
        live = self._simulation.classic_group()
        owners: dict[Any, str] = {}
        for client in self._simulation.clients:
            if client.member_id in live.members and client.epoch == live.generation:
                for partition in client.owned:
                    assert owners.setdefault(partition, client.name) == client.name, "given twice"

    def check_epochs(self, process: Process) -> None:
        """Epochs and generations only grow, whichever protocol the group is in.

        An empty group may begin anew in the other protocol, from nothing.
        """
        group = process.coordinator._state.groups.get("g")
        epoch = getattr(group, "epoch", getattr(group, "generation", 0))
        assert epoch >= self._epoch, "an epoch went back"
        self._epoch = 0 if getattr(group, "is_empty", True) else epoch

    def _check_news(self) -> None:
        """A member without news, that has said everything, would hear nothing."""
        process = self._simulation.processes[0]
        now = self._simulation.clock.now()
        for client in self._simulation.clients:
            if isinstance(client, Consumer) and not client.stopped and client.epoch > 0:
                coordinator = process.coordinator
                if not coordinator.has_news("g", client.member_id, client.epoch, now):
                    request = make(
                        "ConsumerGroupHeartbeatRequest",
                        **beat_fields(client.member_id, client.epoch),
                        instance_id=client.instance_id,
                    )
                    result = coordinator.handle(request, client.context("news"), now)
                    response = result.replies[-1].response
                    assert response.error_code == ErrorCode.NONE
                    assert response.assignment is None, "there was news"
                    assert response.member_epoch == client.epoch, "there was news"

    # ------------------------------------------------------------------------------- commits

    def may_commit(self, request: Request) -> bool:
        """Whether the committer is a member in its epoch, now: nobody else may be heard."""
        fields = request.fields
        member_id, epoch = fields["member_id"], fields["generation_id_or_member_epoch"]
        group = self._simulation.consumer_group()
        if group is not None:
            member = group.members.get(member_id)
            if member is None:
                return epoch < 0 and not group.members
            behind = member.classic is None and 0 <= epoch < member.epoch
            return epoch == member.epoch or behind
        state = self._simulation.processes[0].coordinator._state
        live, recorded = (state.classic or {}).get("g"), state.groups.get("g")
        if epoch < 0 and getattr(recorded, "is_empty", True):
            return True  # members of a first rebalance are in nobody's log yet
        return live is not None and member_id in live.members and epoch == live.generation

    def is_fenced(self, request: Request) -> bool:
        """Whether it is a heartbeat of an epoch in which its member is not, and has not been."""
        group = self._simulation.consumer_group()
        epoch = request.fields.get("member_epoch", 0)
        if group is None or epoch <= 0:
            return False
        member = group.members.get(request.fields["member_id"])
        return member is None or epoch not in (member.epoch, member.previous_epoch)

    def committed(self, request: Request, response: Any, allowed: bool | None) -> None:
        for partition, code in commit_codes(response).items():
            if code == ErrorCode.NONE:
                assert allowed, f"{request.fields['member_id']!r} may not commit"
                self._offsets[partition] = next(
                    p.committed_offset for t in request.fields["topics"] for p in t.partitions
                )

    # -------------------------------------------------------------------------------- the end

    def is_at_rest(self) -> bool:
        simulation = self._simulation
        group = simulation.consumer_group()
        alive = [client for client in simulation.clients if not client.stopped]
        if any(client.waits for client in alive):
            return False
        if group is not None:
            if group.state is ConsumerGroupState.EMPTY:
                return not alive
            if group.state is not ConsumerGroupState.STABLE:
                return False
            epochs = {member.member_id: member.epoch for member in group.members.values()}
            return epochs == {client.member_id: client.epoch for client in alive}
        classic = simulation.classic_group()
        if classic.state is ClassicState.EMPTY:
            return not alive
        return (
            classic.state is ClassicState.STABLE
            and classic.members.keys() == {client.member_id for client in alive}
            and all(isinstance(c, ClassicConsumer) and c.is_in_generation for c in alive)
        )

    def check_rest(self) -> None:
        """Everybody has what there is, once; and nobody waits for an answer any more."""
        simulation = self._simulation
        alive = [client for client in simulation.clients if not client.stopped]
        wanted = {
            (topic, partition)
            for client in alive
            for topic in self._topics_of(client)
            for partition in range(simulation.counts.get(topic, 0))
        }
        group = simulation.consumer_group()
        if group is not None:
            has = [
                (bytes(topic).lstrip(b"\1").decode(), p)
                for member in group.members.values()
                for topic, p in member.assigned
            ]
            assert sorted(has) == sorted(wanted), "not everything is assigned once"
        elif alive:
            has = [partition for client in alive for partition in client.owned]
            if not any(getattr(client, "watches_topics", False) for client in alive):
                # No member leads that has assigned: new partitions wait for the next rebalance.
                wanted &= set(has)
            assert sorted(has) == sorted(wanted), "not everything is assigned once"
        assert not simulation.parked, "somebody waits for an answer"
        assert not self.unanswered, "a request was never answered"
        assert simulation.fetch() == self._offsets

    def _topics_of(self, client: Any) -> set[str]:
        topics = set(client.topics)
        if getattr(client, "regex", None):
            topics |= {name for name in self._simulation.counts if name.startswith("or")}
        return topics
