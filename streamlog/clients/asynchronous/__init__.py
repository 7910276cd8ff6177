"""The clients for event loops: the same verbs with `await`, `async for` and `async with`.

Parts
    log             `open_async`, `AsyncStreamLog`
    producer        `AsyncProducer`; `loop_producer`, the `Producer` under it that never waits
    consumer        `AsyncConsumer`
    reading         `AsyncStreamLog.read()`
    admin, typed    `AsyncAdmin`, `AsyncTypedTopic`
    listener        `AsyncListener`
    driving         drives the clients' flows on a loop; makes twins of their methods
    turns           those who await records share a batch a turn of the loop
    bells           the one thread that waits for appends, for every consumer of every loop
    workers         a log's few threads for what takes long
    waking          telling loops from other threads

Rules
    * The logic is the clients' own: `streamlog.clients.flows`, or their methods on a worker.
    * Nothing here blocks a loop for longer than an append takes, or keeps it from turning for
      longer than a millisecond of its own work. What may take long runs on a worker: locks that
      somebody has, cold pages, syncs, opening and closing, everything about topics.
    * A cancelled call has happened or has not, and what it belongs to can be used. What a worker
      has begun it finishes, with nobody waiting.
    * Nothing belongs to a loop: logs, producers and consumers outlive it and serve any other.
      Only who waits is known by its loop.
    * asyncio is imported here, and by whoever uses this.

Not here: another way to read or write. User code (serializers, deserializers, partitioners) runs
on the loop, as in aiokafka.
"""
