"""Kafka's endpoint on a directory: what clients of every language speak to.

`log.listen()` makes a `Listener`: a socket and an event loop in a thread of its own, in the
program's process or in `streamlog serve`'s. What a client writes over the wire is read in process
from the same files, and the other way round.

Parts

* `listener`: `Listener`, the thread, its loop, the accepted connections;
* `connection`: one connection's life: frames in, one request at a time, answers in order;
* `memory_budget`, `watchman`: what all connections together may hold, and who is sent away;
* `group_requests`: to the coordinators of groups and back, while nothing waits;
* `endpoint`: `Endpoint`, all that a handler knows: engine, settings, address, sessions;
* `routing`: which handler answers which API, and what is offered;
* `handlers`: one module an API family, wire to engine and back;
* `partition_lookup`, `answers`: partitions by name or id, errors as codes;
* `fetch_sessions`, `long_polls`, `bell_watch`: what fetches leave behind between and while
  waiting.

A connection's life: accepted; TLS, where it will be (the transport does it, the connection is
none the wiser); SASL, where it will be (a connection serves a routing table, and one that has to
authenticate begins with a smaller one); requests, each answered before the next is looked at;
end, by either side. Bytes that are no request end it without an answer, as in Kafka.

Rules. A handler translates and decides nothing: what Kafka's broker would check is checked by the
engine below. The loop never waits: what syncs, creates or decompresses much runs on threads.
Record bytes are appended as they were received and sent as they lie in the file. Nothing is
remembered of a client longer than its connection, but for fetch sessions, which are counted.

What it is not: a cluster. Listeners of one directory, in whichever processes, are nodes to their
clients, and say that the first of them leads every partition; any would do. It keeps nobody out:
without TLS and SASL it belongs on loopback.
"""

from __future__ import annotations

from streamlog.listener.listener import Listener

__all__ = ["Listener"]
