"""Kafka's protocol and internal records: one compiler, fed with definitions held as data.

`message("TopicRecord")` gives a `Message`: a Python class for its values and, for each version,
an encode and a decode function that are generated as source and compiled when first used. The
definitions are Kafka's own, kept compact in `definitions`, one file a family, read when the first
message of a family is asked for.

The compiler:

    definitions             the data, and how it is written down
    definition              a definition as a typed tree
    layout                  what a message looks like in one version
    source                  generated source and how its failures are traced to fields
    encoder, decoder        write the source of one version's function
    primitives              what generated code calls where bytes are not short and plain
    message                 `Message`: classes, functions, errors
    uuid                    `Uuid`

What is kept in logs:

    metadata_frame          the frame around records of `__cluster_metadata`
    coordinator_records     keys and values of `__consumer_offsets`, `__transaction_state`
    control_records         keys and values of control records
    consumer_protocol       what consumers of a classic group send each other

What travels on a connection:

    frame_reader            `FrameReader`: bytes in, frames out
    exchange                frames to requests and responses and back: headers, versions, KIP-511
    in_flight               `InFlightRequests`: which response belongs to which request
    api                     the table of APIs, and which of them an endpoint offers
    error_codes             the codes, and how they become exceptions and come of them

An endpoint is a loop around these:

    room = reader.get_buffer(); reader.buffer_updated(socket.recv_into(room))
    while (frame := reader.next_frame()) is not None:
        request = decode_request(frame)
        socket.sendmsg(encode_response(request, answer_to(request)))

Rules: pure computation, no files (but its own definitions), clocks, threads or randomness.
Whatever does not fit its definition raises `SchemaError`, which names the message, the field and
the version; what is no frame, or not offered, a `ProtocolError`. Nothing is allocated on the word
of a length or count: the bytes have to be there, and a message takes at most 64 times as much
memory as its bytes. Record batches are never copied: what is decoded is a view of the frame, what
is encoded a buffer among those to send.

As in Kafka, tagged fields that are not known are kept and written again, and so are error codes.
Unlike Kafka, a string that is not UTF-8 is refused, not changed.

What it is not: it knows no broker and no meaning. Who may send what when is decided elsewhere.
"""

from __future__ import annotations

from streamlog.protocol.message import Message, message
from streamlog.protocol.uuid import Uuid

__all__ = ["Message", "Uuid", "message"]
