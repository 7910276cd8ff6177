"""The engine: one directory, open in any number of processes, each reading and writing directly.

Parts

* `engine`: `Engine`, which wires everything below and is what clients hold;
* `registry`, `fork`: one engine a directory and process, and what a forked child does;
* `directory`, `directory_lock`, `opening`, `recovering`, `closing`, `folders`: getting in, alone
  or beside others; what the first one in and the last one out do;
* `metadata_image`, `metadata_records`, `metadata_log`, `metadata_snapshot`: topics, settings and
  producer ids in a KRaft metadata log; `topics`, `producer_ids`: what is asked of them;
* `topic_configs`: settings described, changed, and handed to the logs that are open;
  `broker_configs` and `group_configs`: those of nodes and groups, kept by `resource_configs`;
* `partitions`: the partition logs, few of them with open files; `parallel`: their syncs, several
  at a time;
* `housekeeping`: whose turn it is to do `retention_round` and `cleaning_round` (compaction, at the
  rate that `throttle` allows), and when (`shared_timer`);
* `groups`: the coordinators of groups on `__consumer_offsets`, with a page of its own;
* `backup`: a copy of the directory at one instant, while others write (`backup_*`: its parts);
* `produce`, `fetch`, `list_offsets`, `log_dirs`, `active_producers`: one file a path.

Rules. Nothing under a lock waits for a sync or for somebody's code. A change of the metadata is
decided on the replayed image and appended on condition that nothing came between; it is synced
before it counts. Only who is alone in a directory deletes or cuts anything but what it made.
All files are reached through `storage.filesystem`.

What it is not: it holds no rules about records, segments or indexes (they live in `record` and
`storage`), buffers nothing and retries nothing for a client.
"""

from __future__ import annotations
