"""One machine's files: Kafka's log directory, appended to and read by many processes at once.

Its parts, from the outside in:

* `partition_log` is one partition as a whole. It delegates: `append` (the path of a batch),
  `handle` (descriptors, locks, sync), `partition_sync` and `sync` (over several segments),
  `log_reader` and `segment` (reading), `indexes`, `time_lookup`, `producer_tracker` and
  `producer_state` (idempotent producers), `leader_epochs`, `folder`.
* `slots` and `shared_map` are `streamlog.shared`: what processes tell each other. `shared` is
  its layout, the one place that knows positions.
* `recovery` and `loading` bring a partition's folder back after a close or a crash;
  `verification` says what is wrong with a directory and changes nothing.
* `compaction` is a pass over one log: `cleanable` decides what may be cleaned, `log_cleaner` does
  it, with `cleaned_transactions` and `transaction_index` (what may go of transactions) and
  `cleaned_segments` (the files that it writes), `segment_swap` puts those in the place of others,
  `cleaner_checkpoint` says how far that went.
* `names`, `checkpoints`, `properties`, `partition_metadata` are the small formats.
* `filesystem` is the door: no other module touches the operating system's files. `system`
  picks the compiled calls (`_append`, `_handle`, `_system`, `_fetch`) or their pure twins,
  which are their specification.

Rules: bytes are written with `pwrite` at a known end, published by one store, and read through
read-only maps up to the published end. Nothing under a partition's lock runs user code, syncs,
or waits for the interpreter. A batch is written once and never rewritten. Torn is not corrupt.

What it is not: it knows nothing of what topics mean, of groups, of transactions' decisions, of
settings that are not about files. Those are the broker's and the coordinators'.
"""
