"""Coordinators: machines that decide what happens to groups, and do nothing themselves.

A `GroupCoordinator` has the groups of one partition of `__consumer_offsets`, in both of Kafka's
protocols and in Kafka's records. It is asked what to do about a request, and answers with a
`Result`: records to append, replies to send, timers. Nothing has changed by then. When the
records are in the log, and nothing came between, they are replayed and the result is applied.

    group_coordinator   the machine: which request goes where, replaying, applying
    decision            a decision in the making, and the state that it is made on
    result              contexts, records, replies, results
    consumer, classic   the two protocols; `migration` from one to the other under way
    offsets             what is committed
    groups              what is there: listed, described, removed
    assignors, regex    who is to have what; which topics a pattern means
    timers, timer_events, expiration
                        what is waited for, and what happens then
    adoption            what other processes decided
    loading             the log, of which only the last words are read
    records             the records of `__consumer_offsets`
    unreadable          those that do not fit their definition
    refusals            errors in the shape of each response
    settings, topics_image, subscriptions, metadata_hash
                        what is handed in from outside, and what follows from it

Rules. No clock, thread, file, socket or randomness: `now`, ids and topics are handed in.
Replicated state is changed by replaying records, and by nothing else: live handling, another
process's decisions and a restart all go the same way. Volatile state is changed by applying a
result, and by nothing else: an append that failed or came too late leaves nothing behind.

Driving it
    One thread at a time, under a mutex. Each decision goes through the same cycle; `decide` is
    a call of `handle(request, context, now)`, `handle_event(event, now)` or `tick(now)`, and
    `log.append` appends one batch where the log ends at `expected_end`, or returns None:

        def carry_out(coordinator, log, decide):
            while True:
                coordinator.replay_log(log.read(coordinator.next_offset))
                result = decide()
                if result is None or not result.records:
                    break
                pairs = [record.encode() for record in result.records]
                base = log.append(pairs, expected_end=coordinator.next_offset)
                if base is not None:
                    for offset, record in enumerate(result.records, base):
                        coordinator.replay(record, offset)
                    break
            return [] if result is None else coordinator.apply(result)

    * A result is applied before the next decision, or dropped: when an append failed the request
      is answered with `refusal(request, version, code)`, and nothing has happened.
    * `apply` returns the replies that are due now, those of parked requests among them, each with
      the token that its request came with. They may be sent once the log is as durable as the
      driver promises up to what `next_offset` is then, also where the result had no records:
      what it tells may rest on earlier ones. The machine itself waits for nothing.
    * `more` says that an event, `ExpireOffsets` or `TopicsDeleted`, is to be handed in again.
    * `tick` follows, until it returns None, whenever records of others were replayed and when
      `next_deadline_ms()` has come; whoever appends or replays asks for the deadline anew.
    * `take_image` comes before the next decision once topics have changed, with `TopicsDeleted`
      for those that are gone. Whether a topic or partition exists that an offset is committed
      for, and who may do what, is for the driver to look at first, as it is for Kafka's brokers.
    * A batch too large for the log is an append that failed. Nothing here splits a decision.

Who coordinates
    Any process may act for members that live in processes (`client_host` begins with
    `PROCESS_HOST` and names the process) and for administrators: all that matters is in the log.
    Members in the network belong to the process that has called `take_over`, once it holds what
    makes it the only one; everywhere else they are answered with NOT_COORDINATOR. `resign` gives
    them up and returns the replies to what was parked. A process that dies needs to do neither:
    the next to take over finds classic groups as their last record has them, and begins every
    session anew. An administrator who removes members of a classic group takes over for that.

Members in processes
    They send ConsumerGroupHeartbeat like any other, but only when there is something to say or
    `has_news(group_id, member_id, epoch, now)`: so it is asked at each poll, and by who waits
    whenever the log has grown. The partitions that are owned are said with each, and at once when
    some were given up. Their rebalance timeout is `max_poll_interval_ms`. What tells that they
    live is not heartbeats but
        MembersDied     the process of these members is dead; `members_in_processes()` has the
                        events by client host, also for a process that has just been started and
                        finds the members of some that died when nobody was there
        MemberPolled    when a member polled last: told by every process that watches, of those
                        that it can see, before that member's time is up
    Both may be told by several processes, of the same members, at the same time. Between two
    assignments of a group there are `group_consumer_assignment_interval_ms`; 0 has members of
    a process that died replaced at once.

What it is not: it knows no logs and no partitions' ends, and nobody's rights. Transactions'
offsets are read from the log, and who may commit them is not decided here.
"""

from __future__ import annotations

from streamlog.coordinator.consumer.liveness import MemberPolled, MembersDied
from streamlog.coordinator.error_codes import ErrorCode
from streamlog.coordinator.group_coordinator import GroupCoordinator
from streamlog.coordinator.groups.listing import GROUP_STATES
from streamlog.coordinator.offsets.delete import TopicsDeleted
from streamlog.coordinator.offsets.expiry import ExpireOffsets
from streamlog.coordinator.refusals import refusal
from streamlog.coordinator.result import (
    PROCESS_HOST,
    CoordinatorRecord,
    Instant,
    Reply,
    RequestContext,
    Result,
)
from streamlog.coordinator.settings import GroupSettings
from streamlog.coordinator.topics_image import Topic, TopicsImage

__all__ = [
    "GROUP_STATES",
    "PROCESS_HOST",
    "CoordinatorRecord",
    "ErrorCode",
    "ExpireOffsets",
    "GroupCoordinator",
    "GroupSettings",
    "Instant",
    "MemberPolled",
    "MembersDied",
    "Reply",
    "RequestContext",
    "Result",
    "Topic",
    "TopicsDeleted",
    "TopicsImage",
    "refusal",
]
