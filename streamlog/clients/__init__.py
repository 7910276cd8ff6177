"""What users call: producers, consumers and the administration of a log.

Parts, writing
    producer        `Producer`: settings, `send_many`, `flush`, `close`
    accumulators    selects `accumulator`, `batch` and `columns` or their compiled twins: a record
                    into its open batch; `RecordFuture`, `ProducerBatch`, `PartitionQueue`
    batch_state     the life of a batch
    targets         what `send()` must know of a topic; `known_topics` looks it up and keeps it true
    arguments       what may be passed, and what callers are told otherwise
    delivery        what a future does: wait, report, call back, `await`
    dispatch        sealed batches into the log, in order, and onto the disk; `room` for more
    finishing       header, codec, producer id and CRC of a batch that is about to be written
    splitting       a batch that its topic no longer takes, into several that it does
    bulk            `send_many`: many values, big batches, one future
    sender          the one background thread: linger, syncs nobody waits for, exit and fork
    partitioner     where records without a partition go
    serialization   serializers for common types
    typed           topics of one Python type; `type_codecs` makes bytes of it
    properties      `from_properties`: a Java client's settings as keywords

Parts, reading
    stream_log, consumer, read, admin, and what they are made of; each module says which.

Parts, in groups
    group_membership  a consumer as a member: joins, hears what it is to have, gives up, leaves
    group_offsets   what it commits, by hand (`committing`) and by itself
    group_client    what is asked of a group's coordinator, and its errors
    group_admin     the half of `Admin` about groups; `group_reports`, `offset_resets` are its work

Parts, for event loops
    flows           what clients do, written once for callers that block and callers that `await`
    asynchronous    the twins on top of it
    awaitables      selects `awaitable` or its compiled twin: what is awaited for each record
    postponed       why a send on an event loop has to wait

Rules
    * Work per record is compiled, work per batch is Python: it is written once, and runs on
      both kernels.
    * No lock, thread hop or Python call per record. User code (serializers, partitioners,
      callbacks) is never called between looking at an open batch and writing into it.
    * Batches of a partition reach the log in the order in which they were sealed.
    * An error is never lost: it is in the future, or in `flush()` and `close()`.
    * Files are reached through the broker only.

Not here: what a batch must satisfy (the broker's produce path), and how it reaches the disk
(storage).
"""
