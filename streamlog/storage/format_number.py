"""The number of the format: what versions of streamlog that meet in a directory agree upon.

It covers everything in which they meet, one after the other or side by side: what the files say
that streamlog adds, which bytes of `streamlog.locks` stand for what, and what may be found of
Kafka's files when a process died between two steps of a change. Kafka's own formats are no part
of it: they carry versions of their own.

    1   the first
    2   the structure byte: sealed segments are removed and exchanged while others read. Two more
        words of a partition's state say so, three of the header belong to housekeeping

The number stands in `streamlog.properties`, and in the header of `streamlog.shared`. Whoever opens
an older directory alone, for writing, writes its own number there before anything else changes,
and there is no way back: versions that do not know the number refuse the directory, or read it as
what it is apart from streamlog's files, a Kafka log directory. Beside processes of another number
nobody writes.

The number moves when a version that knows only the one before could do harm, or be misled. Then
`tests/compatibility` gets another directory, which stays there for good.
"""

from __future__ import annotations

FORMAT = 2
#: The first whose shared file has the layout of today, so that its slots are still understood.
OLDEST_SHARED_FORMAT = 1
