"""`Groups`: every coordinator of an engine, and which of them is asked what."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from streamlog.broker.group_configs import GroupConfigs
from streamlog.broker.groups import fan_out, offsets_topic
from streamlog.broker.groups.calls import Answer, Call
from streamlog.broker.groups.duties import Duties
from streamlog.broker.groups.listeners import Listeners
from streamlog.broker.groups.member_slots import MemberSlot, MemberSlots
from streamlog.broker.groups.partition_coordinator import PartitionCoordinator, Surroundings
from streamlog.broker.groups.process_names import own_name
from streamlog.broker.groups.topics_view import TopicsView
from streamlog.broker.groups.watcher import Watcher
from streamlog.broker.produce import ACKS_ALL
from streamlog.broker.topics import draw_uuid
from streamlog.broker.typed_errors import typed_errors
from streamlog.coordinator import (
    ErrorCode,
    ExpireOffsets,
    GroupCoordinator,
    GroupSettings,
    Instant,
    RequestContext,
    TopicsDeleted,
)
from streamlog.errors import StreamlogError
from streamlog.protocol.message import message_of
from streamlog.storage.names import OFFSETS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlog.broker.engine import Engine
    from streamlog.broker.metadata_image import TopicImage
    from streamlog.config import OpenConfig
    from streamlog.protocol import Uuid

_WRITTEN = 1
_ONLY_LOOKING = frozenset(
    {
        "ConsumerGroupDescribeRequest",
        "DescribeGroupsRequest",
        "ListGroupsRequest",
        "OffsetFetchRequest",
    }
)
_OF_MEMBERS = frozenset(
    {
        "ConsumerGroupHeartbeatRequest",
        "HeartbeatRequest",
        "JoinGroupRequest",
        "LeaveGroupRequest",
        "OffsetCommitRequest",
        "SyncGroupRequest",
    }
)


class Groups:
    """The groups of one directory, for this process. Thread-safe; made at the first use.

    Methods raise what reading and appending to `__consumer_offsets` raises.
    """

    def __init__(self, engine: Engine, config: OpenConfig) -> None:
        self._engine = engine
        self._opening = engine._opening
        self._config = config
        self._lock = threading.RLock()
        self._coordinators: dict[tuple[Uuid, int], PartitionCoordinator] = {}
        self._slots: MemberSlots | None = None
        #: What single groups have set for themselves.
        self.configs = GroupConfigs(engine.metadata, self.settings)
        self._settings = GroupSettings(
            group_initial_rebalance_delay_ms=0,
            group_consumer_assignment_interval_ms=0,
            offsets_retention_ms=_retention_ms(config),
            group_overrides=self.configs.of,
        )
        self.watcher = Watcher(self, engine)
        self._around = Surroundings(
            engine.clock,
            TopicsView(engine),
            lambda: str(draw_uuid()),
            self._polls,
            self.watcher.wake,
        )
        self.duties = Duties(self._opening, lambda: self.member_slots)
        self.listeners = Listeners(self._opening, lambda: self.member_slots)
        #: Whose members live in this process.
        self.client_host = own_name(self._opening).client_host

    # ---------------------------------------------------------------- asking

    def ask(self, request: Any, api_version: int, client_id: str = "", *, acks: int = 1) -> Any:
        """The response to a request of this process, which is not one that may be parked.

        `acks=-1` has what it tells on the disk first.
        """
        answers: list[Any] = []
        call = Call(request, api_version, answers.append)
        self._submit(call, RequestContext(call, api_version, client_id, self.client_host), acks)
        assert answers, f"{message_of(request).name} is answered at once"
        return answers[0]

    def submit(
        self,
        request: Any,
        api_version: int,
        on_reply: Answer,
        *,
        client_id: str,
        client_host: str,
        acks: int = ACKS_ALL,
    ) -> None:
        """Have a client in the network answered: `on_reply` gets the response, exactly once.

        Now or later, from any thread; it must not wait. What the log does not take is answered
        with COORDINATOR_NOT_AVAILABLE. LookupError for a request that is not about groups. Who
        comes without having looked for the coordinator finds it here, unless it is elsewhere.
        """
        call = Call(request, api_version, on_reply)
        try:
            if message_of(request).name in _OF_MEMBERS:
                self.coordinates(request.group_id)
            self._submit(call, RequestContext(call, api_version, client_id, client_host), acks)
        except (StreamlogError, OSError) as error:
            import logging

            name = message_of(request).name
            logging.getLogger("streamlog").warning("%s was not carried out: %s", name, error)
            call.refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)

    def _submit(self, call: Call, context: RequestContext, acks: int) -> None:
        with typed_errors(self._engine.place.path):
            self._engine.check_usable()
            request = call.request
            if message_of(request).name in _ONLY_LOOKING and self._topic() is None:
                call.answer(self._ask_nobody(request, context))
                return
            fields = fan_out.groups_in(request, call.api_version)
            if fan_out.is_about_all(request):
                self._list(call, context)
            elif fields is None:
                self.coordinator_of(request.group_id).submit(call, context, acks)
            else:
                parts = fan_out.taken_apart(request, fields, self.partition_of)
                responses = [self._ask_part(n, part, context, acks) for n, part in parts]
                if not responses:
                    responses = [self._ask_nobody(request, context)]
                call.answer(fan_out.put_together(request, fields, responses))

    def _ask_part(self, partition: int, part: Any, context: RequestContext, acks: int) -> Any:
        answers: list[Any] = []
        call = Call(part, context.api_version, answers.append)
        own = RequestContext(call, context.api_version, context.client_id, context.client_host)
        self.coordinator(partition).submit(call, own, acks)
        return answers[0]

    def _list(self, call: Call, context: RequestContext) -> None:
        """ListGroups, of every partition that was ever written to.

        A client in the network asks each listener, and is told by each of what is its own.
        """
        whole = self._ask_nobody(call.request, context)
        for partition in self.partitions_in_use():
            if not context.is_in_process and not self._take_over(partition):
                continue
            part = self._ask_part(partition, call.request, context, _WRITTEN)
            whole.groups += part.groups
        whole.groups.sort(key=lambda group: group.group_id)
        call.answer(whole)

    def _ask_nobody(self, request: Any, context: RequestContext) -> Any:
        """What a coordinator answers that has no groups."""
        clock, image = self._engine.clock, self._around.topics.refresh()
        nobody = GroupCoordinator(self._settings, image, self._around.new_id)
        now = Instant(clock.now_ms(), 0)
        (reply,) = nobody.handle(request, context, now).replies
        return reply.response

    # ---------------------------------------------------------------- coordinators

    def partition_of(self, group_id: str) -> int:
        """The partition of `__consumer_offsets` that a group belongs to; made if there is none."""
        return offsets_topic.partition_of(group_id, len(self._ensure_topic().partitions))

    def coordinator_of(self, group_id: str) -> PartitionCoordinator:
        """The coordinator of a group, which is loaded by now."""
        return self.coordinator(self.partition_of(group_id))

    def coordinator(self, partition: int) -> PartitionCoordinator:
        """The coordinator of a partition of `__consumer_offsets`."""
        topic = self._ensure_topic()
        key = (topic.topic_id, partition)
        found = self._coordinators.get(key)
        if found is not None:
            if self._engine.read_only:
                self.watcher.bury_the_dead(found)
            return found
        log = self._engine.partition(OFFSETS_TOPIC, partition)
        with self._lock:
            found = self._coordinators.get(key)
            if found is None:
                found = PartitionCoordinator(log, self._settings, self._around)
                self._coordinators[key] = found
        self.watcher.bury_the_dead(found)
        return found

    def loaded(self) -> list[PartitionCoordinator]:
        """The coordinators that there was a use for yet."""
        with self._lock:
            return list(self._coordinators.values())

    def partitions_in_use(self) -> list[int]:
        """The partitions of `__consumer_offsets` that anything was ever written to."""
        topic = self._topic()
        if topic is None:
            return []
        shared = self._opening.shared
        in_use = []
        for partition in sorted(topic.partitions):
            slot = shared.find_slot(topic.topic_id, partition)
            if self._engine.read_only:
                is_used = self._engine.partition(OFFSETS_TOPIC, partition).log_end > 0
            else:
                is_used = slot is not None and shared.read_state(slot).log_end > 0
            if is_used:
                in_use.append(partition)
        return in_use

    def _topic(self) -> TopicImage | None:
        return offsets_topic.find_offsets_topic(self._engine)

    def _ensure_topic(self) -> TopicImage:
        topic = self._engine.refresh().topics.get(OFFSETS_TOPIC)
        if topic is not None:
            return topic
        self._engine.check_writable()
        partitions = self._config.offsets_topic_num_partitions
        return offsets_topic.ensure_offsets_topic(self._engine, partitions)

    # ---------------------------------------------------------------- what happens to groups

    def settings(self) -> GroupSettings:
        """What coordinators of this process go by."""
        return self._settings

    def take_settings(self, settings: GroupSettings) -> None:
        """Go by these settings from now on, in this process."""
        with self._lock:
            self._settings = settings
            for coordinator in self._coordinators.values():
                coordinator.take_settings(settings)
        self.watcher.wake()

    def forget_topics(self, names: Iterable[str]) -> None:
        """Forget what was committed for topics that are deleted."""
        event = TopicsDeleted(frozenset(names))
        for partition in self.partitions_in_use():
            try:
                self.coordinator(partition).tell([event])
            except StreamlogError as error:
                # They are for another topic's id, so that nobody takes them for a new one's.
                import logging

                logging.getLogger("streamlog").warning(
                    "offsets of %s stay in %s-%d: %s",
                    ", ".join(sorted(event.topics)),
                    OFFSETS_TOPIC,
                    partition,
                    error,
                )

    def expire_offsets(self) -> None:
        """Forget what nobody has used for longer than `offsets_retention_minutes`."""
        for partition in self.partitions_in_use():
            self.coordinator(partition).tell([ExpireOffsets()])

    # ---------------------------------------------------------------- members in this process

    def new_member(self, member_id: Uuid) -> MemberSlot:
        """The slot of a member that is about to join: it polls now."""
        self._engine.check_writable()
        now_ms = int(self._engine.clock.monotonic() * 1000)
        return self.member_slots.claim(member_id, now_ms)

    def _polls(self) -> dict[str, int]:
        return {} if self._engine.read_only else self.member_slots.polls()

    def abandon(self, group_id: str, member_id: str, slot: MemberSlot) -> None:
        """Nobody uses a member of this process any more. From a finalizer: takes no lock."""
        if not self._engine.is_foreign:  # in a forked child it is the parent's
            slot.release()
            self.watcher.bury_soon(group_id, member_id)

    @property
    def member_slots(self) -> MemberSlots:
        """When members of all processes polled last."""
        with self._lock:
            if self._slots is None:
                with typed_errors(self._engine.place.path):
                    self._slots = MemberSlots(self._opening, self._config.lock_timeout_ms)
            return self._slots

    # ---------------------------------------------------------------- the listener's part

    def begin_coordinating(self, address: tuple[str, int]) -> int:
        """This process listens at that address: it coordinates what others do not, when asked.

        The number that the listener has from now on, among all of the directory.
        """
        number = self.listeners.begin(address)
        self.duties.begin(address)
        return number

    def coordinates(self, group_id: str) -> bool:
        """Whether members in the network may come here: this process coordinates their group.

        Taken over now if it listens and no other process does. False before `begin_coordinating`.
        """
        return self._take_over(self.partition_of(group_id))

    def _take_over(self, partition: int) -> bool:
        return self.duties.take(partition, lambda: self.coordinator(partition).take_over())

    def coordinator_address(self, group_id: str) -> tuple[str, int] | None:
        """Where members in the network find the coordinator of their group: here, if possible.

        None when another process has it that has not said where it listens: to be asked again.
        """
        partition = self.partition_of(group_id)
        self._take_over(partition)
        return self.duties.address(partition)

    def end_coordinating(self, address: tuple[str, int]) -> None:
        """Nobody listens at that address any more; when nobody else does here, resign."""
        self.listeners.end(address)
        with self._lock:
            loaded = {n: found for (_, n), found in self._coordinators.items()}
        for partition in self.duties.end(address):
            if partition in loaded:
                loaded[partition].resign()
            self.duties.release(partition)

    # ---------------------------------------------------------------- its end

    def forget_parent(self) -> None:
        """In a forked child: nothing of this is the child's."""
        self.watcher.forget_parent()
        if self._slots is not None:
            self._slots.close()

    def close(self) -> None:
        """End the thread, and give up what this process coordinates."""
        self.watcher.close()
        for address in self.duties.addresses():
            self.end_coordinating(address)
        with self._lock:
            if self._slots is not None:
                self._slots.close()
                self._slots = None


def _retention_ms(config: OpenConfig) -> int | None:
    minutes = config.offsets_retention_minutes
    return None if minutes is None else minutes * 60_000
