"""Groups of members that work: each in a thread, commits what it has processed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from tests.wire.consumers import Got, GroupConsumer

PATIENCE_S = 30.0


class Crew:
    """The members of one group, and what they have processed together."""

    def __init__(self, kind: type[GroupConsumer], group_id: str, topic: str) -> None:
        self.kind = kind
        self._group_id = group_id
        self._topic = topic
        self._changed = threading.Condition()
        self._members: dict[str, _Worker] = {}
        self.processed: Counter[bytes] = Counter()

    def hire(self, name: str, bootstrap: str, *, is_static: bool = False) -> None:
        """Let one more join."""
        self._members[name] = _Worker(self, self.kind, bootstrap, name if is_static else None)

    def fire(self, name: str) -> None:
        """Let one leave."""
        self._members.pop(name).stop()

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Until something is so, as of when anybody processed or was assigned something."""
        with self._changed:
            reached = self._changed.wait_for(
                lambda: is_so() or any(each.failure for each in self._members.values()), PATIENCE_S
            )
        for each in self._members.values():
            each.check()
        assert reached, (len(self.processed), self.assignments())

    def assignments(self) -> dict[str, set[int]]:
        """Who has which partitions."""
        return {name: set(each.assigned) for name, each in self._members.items()}

    def wait_until_shared(self, partitions: int) -> None:
        """Until every member has some, and all have all of them once."""
        self.wait(lambda: _is_shared(self.assignments(), partitions))

    def wait_until_processed(self, values: set[bytes]) -> None:
        self.wait(lambda: values <= self.processed.keys())

    def close(self) -> None:
        for name in list(self._members):
            self.fire(name)

    def note(self, records: list[Got]) -> None:
        with self._changed:
            self.processed.update(each.value for each in records)
            self._changed.notify_all()


def _is_shared(assignments: dict[str, set[int]], partitions: int) -> bool:
    owned = sorted(partition for each in assignments.values() for partition in each)
    return owned == list(range(partitions)) and all(assignments.values())


class _Worker:
    """One member: polls, processes, commits. A commit that comes too late is not the end."""

    def __init__(
        self, crew: Crew, kind: type[GroupConsumer], bootstrap: str, instance_id: str | None
    ) -> None:
        self.assigned: set[int] = set()
        self.failure: BaseException | None = None
        self._crew = crew
        self._is_over = threading.Event()
        group = (bootstrap, crew._group_id, crew._topic)
        self._thread = threading.Thread(target=self._run, args=(kind, group, instance_id))
        self._thread.start()

    def _run(
        self, kind: type[GroupConsumer], group: tuple[str, str, str], instance_id: str | None
    ) -> None:
        try:
            consumer = kind(*group, instance_id=instance_id)
            try:
                while not self._is_over.is_set():
                    self._work(consumer)
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001  # told to who waits
            self.failure = error
            self._crew.note([])

    def _work(self, consumer: GroupConsumer) -> None:
        records = consumer.poll()
        self.assigned = consumer.assignment()
        self._crew.note(records)
        if records:
            try:
                consumer.commit()
            except Exception as error:  # each client has its own
                if not is_of_a_rebalance(error):
                    raise

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.check()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure


def is_of_a_rebalance(error: Exception) -> bool:
    """Whether it is what a member is told that commits when the group has gone on, or is about to:
    never that nobody knows it."""
    said = f"{type(error).__name__} {error}".lower()
    assert "unknown" not in said, said
    return any(word in said for word in ("rebalance", "generation", "stale", "commitfailed"))
