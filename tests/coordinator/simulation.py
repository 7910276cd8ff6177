"""Groups under everything that a network, a machine and other processes can do to them.

One number decides on all of it: who asks what, what is lost, delayed, sent twice, which process
is a step behind, dies or takes over, when time passes. After every step the promises are
checked, and in the end that the group comes to rest.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from streamlog.coordinator import ErrorCode, MemberPolled, MembersDied, Topic, TopicsImage, refusal
from streamlog.coordinator.classic.group import ClassicGroup
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.result import RequestContext
from tests.coordinator.clients import ClassicConsumer, Client, Consumer, Request
from tests.coordinator.driver import (
    LATEST,
    SETTINGS,
    Clock,
    MemoryLog,
    Process,
    commit_fields,
    fetch_fields,
    fetched,
    make,
    replayed,
    topic_id,
)
from tests.coordinator.promises import Promises

GROUP = "g"


class Simulation:
    """A group of several clients in several processes. `run()` takes `steps` of them."""

    def __init__(self, seed: int, *, classic: bool | None = None) -> None:
        self.rng = rng = random.Random(seed)
        self.clock = Clock()
        self.log = MemoryLog()
        self.counts = {"orders": rng.randint(1, 5), "other": rng.randint(1, 3)}
        self._settings = msgspec.structs.replace(
            SETTINGS,
            group_initial_rebalance_delay_ms=rng.choice([0, 0, 3_000]),
            group_consumer_assignment_interval_ms=rng.choice([0, 0, 1_000]),
        )
        self.processes: list[Process] = []
        self._started = 0
        for number in range(rng.randint(1, 3)):
            self._start_process(owner=number == 0)
        self.clients: list[Client] = []
        self._cooperative = rng.random() < 0.5
        self._kind = rng.choice(["consumer", "classic", "both"]) if classic is None else "classic"
        for _ in range(rng.randint(1, 4)):
            self._add_client()
        self.delayed: list[tuple[Client, Request]] = []
        self.parked: dict[Any, tuple[Client, Request]] = {}
        self.history: list[str] = []
        """Every answer, in the order in which they were given."""
        self.promises = Promises(self)

    # ------------------------------------------------------------------------------ running

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
            self.promises.check()
        self.come_to_rest()
        self.promises.check_rest()
        whole = replayed(self.log)._state
        owner = self.processes[0]
        owner.catch_up()
        assert whole.groups == owner.coordinator._state.groups
        assert whole.offsets == owner.coordinator._state.offsets

    def step(self) -> None:
        action = self.rng.choices(_ACTIONS, _WEIGHTS)[0]
        action(self)
        self._hear_answers()

    def come_to_rest(self) -> None:
        """No more faults: everybody gives signs of life until nothing changes any more."""
        self.delayed.clear()
        for client in self.clients:
            if client.stopped and isinstance(client, Consumer) and client.process:
                self.processes[0].tell(MembersDied(GROUP, (client.member_id,)))
        for _ in range(60):
            self.clock.advance(1_500)
            self._hear_answers()
            for client in list(self.clients):
                if not client.stopped and not client.waits:
                    self._deliver(client, client.ask(_CALM), calm=True)
                if isinstance(client, Consumer) and client.process and not client.stopped:
                    self._poll(client)
            self._hear_answers()
            if self.promises.is_at_rest():
                return
        raise AssertionError("the group does not come to rest")

    # ------------------------------------------------------------------------------- actions

    def act(self) -> None:
        """A client asks; the network does what it does."""
        client = self._some_client()
        if client is None or client.waits:
            return
        request = client.ask(self.rng)
        fate = self.rng.random()
        if fate < 0.05:
            self._deliver(client, request, lost=True)
            client.lose()
        elif fate < 0.10 and not (isinstance(client, Consumer) and client.epoch == 0):
            self.delayed.append((client, request))
            client.lose()
        elif fate < 0.15:
            self._deliver(client, request)
            self._hear_answers()
            self._deliver(client, request, lost=True)
            client.lose()
        else:
            self._deliver(client, request)

    def deliver_late(self) -> None:
        if self.delayed:
            client, request = self.delayed.pop(self.rng.randrange(len(self.delayed)))
            if not self._is_in_order(client, request):
                self._deliver(client, request, lost=True)

    def commit(self) -> None:
        client = self._some_client()
        if client is None:
            return
        topic = self.rng.choice(sorted(self.counts))
        partition = self.rng.randrange(self.counts[topic])
        offset = self.rng.randrange(1_000)
        fields = commit_fields({(topic, partition): offset}, client.member_id, client.epoch)
        if client.instance_id and isinstance(client, ClassicConsumer):
            fields["group_instance_id"] = client.instance_id
        request = Request("OffsetCommit", fields)
        if self.rng.random() < 0.3:
            self.delayed.append((client, request))
        else:
            self._deliver(client, request)

    def leave(self) -> None:
        client = self._some_client()
        if client is not None and not client.waits:
            self._deliver(client, client.leave(for_now=self.rng.random() < 0.5), lost=True)

    def die(self) -> None:
        """A client is gone, and says nothing."""
        client = self._some_client()
        if client is None:
            return
        client.stopped, client.owned = True, set()
        if isinstance(client, Consumer) and client.process and self.rng.random() < 0.7:
            self._some_process().tell(MembersDied(GROUP, (client.member_id,)))

    def come(self) -> None:
        if sum(not client.stopped for client in self.clients) < 5:
            self._add_client()

    def poll(self) -> None:
        client = self._some_client()
        if isinstance(client, Consumer) and client.process:
            self._poll(client)

    def wait(self) -> None:
        self.clock.advance(self.rng.choice([1, 100, 3_000, 12_000, 50_000]))

    def change_topics(self) -> None:
        if self.rng.random() < 0.5:
            self.counts["orders"] += 1
        else:
            self.counts.setdefault("orchid", 2)
        for process in self.processes:
            process.coordinator.take_image(self._image())

    def change_subscription(self) -> None:
        client = self._some_client()
        if isinstance(client, Consumer):
            client.topics = self.rng.choice([["orders"], ["orders", "other"], ["other"]])
            client.regex = self.rng.choice(["", "or.*"])

    def restart_process(self) -> None:
        """A process dies with all that is volatile; another takes over what it coordinated."""
        index = self.rng.randrange(len(self.processes))
        dead = self.processes.pop(index)
        self.clock.processes.remove(dead)
        for token, (client, _) in list(self.parked.items()):
            if token in dead.answers or dead.asked(token):
                client.lose()
                del self.parked[token]
        self.promises.unanswered = {t for t in self.promises.unanswered if not dead.asked(t)}
        self._start_process(owner=index == 0)
        if index == 0:
            self.processes.insert(0, self.processes.pop())
        for client in self.clients:
            if isinstance(client, Consumer) and client.process == dead.name:
                client.process = self.processes[0].name

    def fail_to_append(self) -> None:
        """A decision that never happens: the client hears of it, nobody else does."""
        client = self._some_client()
        if client is None or client.waits:
            return
        request = client.ask(self.rng)
        client.lose()
        process = self._process_for(client, request)
        process.catch_up()
        before = process.volatile_state()
        value = make(f"{request.name}Request", **request.fields)
        context = RequestContext("dropped", LATEST[request.name], "c", _host(client))
        process.coordinator.handle(value, context, self.clock.now())
        assert process.volatile_state() == before, "a dropped decision left something behind"
        refusal(value, LATEST[request.name], ErrorCode.COORDINATOR_NOT_AVAILABLE)

    # ------------------------------------------------------------------------------- inside

    def _image(self) -> TopicsImage:
        return TopicsImage(Topic(name, topic_id(name), n) for name, n in self.counts.items())

    def _start_process(self, *, owner: bool) -> None:
        self._started += 1
        name = f"p{self._started}-"
        process = Process(
            self.log,
            self.clock,
            self.counts,
            self._settings,
            name=name,
            owner=owner,
            check_restarts=False,
        )
        self.clock.processes.append(process)
        self.processes.append(process)

    def _add_client(self) -> None:
        name = f"c{len(self.clients)}"
        instance = self.rng.choice([None, None, "i1", "i2"])
        topics = self.rng.choice([["orders"], ["orders", "other"]])
        if instance is not None:
            # Nobody notices what a restarted member of a stable classic group subscribes to.
            topics = ["orders", "other"]
        classic = self._kind == "classic" or (self._kind == "both" and self.rng.random() < 0.5)
        kind = ClassicConsumer if classic else Consumer
        for other in self.clients:
            # An instance is upgraded by ending it: two that run would fence each other for ever.
            if instance and other.instance_id == instance and not isinstance(other, kind):
                other.stopped, other.owned = True, set()
        if classic:
            cooperative = self._cooperative
            client: Client = ClassicConsumer(
                name, topics, self.counts, instance, cooperative=cooperative
            )
        else:
            process = self.rng.choice([None, self.rng.choice(self.processes).name])
            client = Consumer(name, topics, instance, process)
        self.clients.append(client)

    def _some_client(self) -> Client | None:
        alive = [client for client in self.clients if not client.stopped]
        return self.rng.choice(alive) if alive else None

    def _some_process(self) -> Process:
        return self.rng.choice(self.processes)

    def _process_for(self, client: Client, request: Request) -> Process:
        """Clients in the network ask the process that coordinates; the others any."""
        in_process = isinstance(client, Consumer) and client.process is not None
        if request.name != "OffsetCommit" and not in_process:
            return self.processes[0]
        return self.processes[0] if self.rng.random() < 0.5 else self._some_process()

    def _poll(self, client: Consumer) -> None:
        polled_at = self.clock.monotonic_ms
        for process in self.processes:
            process.tell(MemberPolled(GROUP, client.member_id, polled_at))

    def _deliver(
        self, client: Client, request: Request, *, lost: bool = False, calm: bool = False
    ) -> None:
        """Ask for a client, who hears the answer unless it is lost."""
        process = self.processes[0] if calm else self._process_for(client, request)
        is_commit = request.name == "OffsetCommit"
        allowed = self.promises.may_commit(request) if is_commit else None
        fenced = self.promises.is_fenced(request)
        others = [other for other in self.processes if other is not process]
        if others and not calm and self.rng.random() < 0.15:
            other = self.rng.choice(others)
            process.between = partial(self._come_between, other, harmless=is_commit)
        token = process.send(request.name, host=_host(client), **request.fields)
        if fenced:
            answer = process.answers[token].error_code
            assert answer != ErrorCode.NONE, "a heartbeat of another epoch is taken"
        if is_commit:
            self.promises.committed(request, process.answer(token), allowed)
        elif not lost:
            self.parked[token] = (client, request)
        else:
            self.promises.unanswered.add(token)

    def _come_between(self, other: Process, *, harmless: bool) -> None:
        """Another process appends something while a decision is on its way to the log."""
        client = self._some_client()
        if not harmless and isinstance(client, Consumer) and client.process:
            other.tell(MembersDied(GROUP, (client.member_id,)))
            self.promises.check_epochs(other)
        else:
            fields = commit_fields({("orders", 0): 1}, group_id="another")
            other.ask("OffsetCommit", **fields)

    def _hear_answers(self) -> None:
        for process in self.processes:
            for token, response in list(process.answers.items()):
                del process.answers[token]
                self.history.append(f"{token} {response}")
                client, request = self.parked.pop(token, (None, None))
                self.promises.unanswered.discard(token)
                if client is not None and not client.stopped:
                    assert request is not None
                    client.hear(request, response)

    def _is_in_order(self, client: Client, request: Request) -> bool:
        """Whether a late heartbeat may be taken for the one that is due.

        Those of one member come by one connection: there it cannot be overtaken.
        """
        group = self.consumer_group()
        member = None if group is None else group.members.get(client.member_id)
        if member is None or request.name != "ConsumerGroupHeartbeat":
            return False
        return request.fields["member_epoch"] in (member.epoch, member.previous_epoch)

    def fetch(self) -> dict[tuple[str, int], int]:
        process = self.processes[0]
        return fetched(process.ask("OffsetFetch", **fetch_fields(None)))

    def consumer_group(self) -> ConsumerGroup | None:
        self.processes[0].catch_up()
        group = self.processes[0].coordinator._state.groups.get(GROUP)
        return group if isinstance(group, ConsumerGroup) else None

    def classic_group(self) -> ClassicGroup:
        """As the process has it that coordinates it; an empty one if there is none."""
        live = self.processes[0].coordinator._state.classic or {}
        return live.get(GROUP) or ClassicGroup(GROUP)


def _host(client: Client) -> str:
    return client.host if isinstance(client, Consumer) else "/127.0.0.1"


_CALM = random.Random(0)
_CALM.random = lambda: 0.5  # type: ignore[method-assign]  # nobody dawdles any more

_ACTIONS: list[Callable[[Simulation], None]] = [
    Simulation.act,
    Simulation.commit,
    Simulation.deliver_late,
    Simulation.wait,
    Simulation.leave,
    Simulation.die,
    Simulation.come,
    Simulation.poll,
    Simulation.change_topics,
    Simulation.change_subscription,
    Simulation.restart_process,
    Simulation.fail_to_append,
]
_WEIGHTS = [50, 10, 5, 10, 3, 3, 5, 5, 2, 3, 3, 3]
