"""`AsyncAdmin`: what Kafka's Admin client has, for tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.clients.admin import Admin
from streamlog.clients.asynchronous.driving import on_worker

if TYPE_CHECKING:
    from streamlog.clients.asynchronous.workers import Workers


class AsyncAdmin:
    """`Admin` for tasks; made by `AsyncStreamLog.admin`. Each of its methods, on a worker.

    A cancelled call has not begun, or is finished with nobody waiting.
    """

    __slots__ = ("_admin", "_workers")

    def __init__(self, admin: Admin, workers: Workers) -> None:
        self._admin = admin
        self._workers = workers

    def __repr__(self) -> str:
        return f"<Async{repr(self._admin).removeprefix('<')}"

    create_topics = on_worker(Admin.create_topics)
    delete_topics = on_worker(Admin.delete_topics)
    create_partitions = on_worker(Admin.create_partitions)
    list_topics = on_worker(Admin.list_topics)
    describe_topics = on_worker(Admin.describe_topics)
    describe_partitions = on_worker(Admin.describe_partitions)
    describe_configs = on_worker(Admin.describe_configs)
    alter_configs = on_worker(Admin.alter_configs)
    list_offsets = on_worker(Admin.list_offsets)
    beginning_offsets = on_worker(Admin.beginning_offsets)
    end_offsets = on_worker(Admin.end_offsets)
    list_groups = on_worker(Admin.list_groups)
    describe_groups = on_worker(Admin.describe_groups)
    list_group_offsets = on_worker(Admin.list_group_offsets)
    reset_offsets = on_worker(Admin.reset_offsets)
    delete_group_offsets = on_worker(Admin.delete_group_offsets)
    delete_groups = on_worker(Admin.delete_groups)
    describe_log_dirs = on_worker(Admin.describe_log_dirs)
    describe_producers = on_worker(Admin.describe_producers)
    delete_records = on_worker(Admin.delete_records)
    apply_retention = on_worker(Admin.apply_retention)
    compact = on_worker(Admin.compact)
    recover_partition = on_worker(Admin.recover_partition)
    describe = on_worker(Admin.describe)

    def _synchronous(self) -> tuple[Admin, Workers]:
        return self._admin, self._workers
