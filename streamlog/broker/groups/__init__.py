"""Groups: the coordinators of `__consumer_offsets`, driven from the logs, clock and locks of an
engine.

`engine.groups` is where it begins: `Groups` finds the coordinator of a group, asks it, and
hands out what it answers.

    groups              which coordinator; what is asked of all of them; the listener's part
    partition_coordinator
                        one coordinator and its log: replay, decide, append if nothing came between
    offsets_topic       `__consumer_offsets`, made at first use, and the partition of a group
    topics_view         the engine's topics as coordinators see them
    fan_out             requests about several groups, taken apart and put together again
    duties, listeners   who coordinates members in the network, and where it listens
    member_slots        `streamlog.members`: when each member in a process polled last
    process_names       by what a process is known in the log, and whether it lives
    watcher             the thread for what is due, and for processes that die

Rules. Any process acts for members that live in processes, and for administrators: it decides on
what it has replayed, and appends on condition that nothing came between. Members in the network
belong to the process that holds the coordinator's byte of `streamlog.locks`. One mutex a
coordinator is held while it replays, decides and appends, never while anything is synced or while
somebody's code runs: replies are handed out when it is free again.

What it is not: it has no rules about groups (`streamlog.coordinator` has them), and buffers
nothing.
"""

from __future__ import annotations
