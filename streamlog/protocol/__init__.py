"""Kafka's messages and internal records: one compiler, fed with definitions held as data.

`message("TopicRecord")` gives a `Message`: a Python class for its values and, for each version,
an encode and a decode function that are generated as source and compiled when first used. The
definitions are Kafka's own, kept compact in `definitions`, one file a family, read when the first
message of a family is asked for.

    definitions             the data, and how it is written down
    definition              a definition as a typed tree
    layout                  what a message looks like in one version
    source                  generated source and how its failures are traced to fields
    encoder, decoder        write the source of one version's function
    primitives              what generated code calls where bytes are not short and plain
    message                 `Message`: classes, functions, errors
    uuid                    `Uuid`
    metadata_frame          the frame around records of `__cluster_metadata`
    coordinator_records     keys and values of `__consumer_offsets`, `__transaction_state`
    control_records         keys and values of control records
    consumer_protocol       what consumers of a classic group send each other

Rules: pure computation, no files (but its own definitions), clocks, threads or randomness.
Nothing is allocated on the word of a count: the bytes have to be there. Whatever does not fit
its definition raises `SchemaError`, which names the message, the field and the version.

What it is not: it knows no broker and no meaning. Who may send what when is decided elsewhere.
"""

from __future__ import annotations

from streamlog.protocol.message import Message, message
from streamlog.protocol.uuid import Uuid

__all__ = ["Message", "Uuid", "message"]
