"""Kafka's record batch format v2: bytes to records and back.

Parts
    checksum        CRC-32C
    layout          where each header field lives, attribute bits, limits
    varint          zigzag varints
    record          `Record`: what a consumer is handed
    batch           `RecordBatch`: a view over the bytes of one batch; `RecordIterator`
    builder         `RecordBatchBuilder`: records in, one complete batch out
    bulk            many values into consecutive batches at once
    scan            walks the batches of a segment and says where the good ones end
    survey          what a broker asks of a produced batch's records, in one pass
    verify          every record of a batch decodes
    control         control batches: transaction markers, leader changes
    compression     gzip, snappy (xerial), lz4 and zstd as streams with a limit
    cleaning        compaction: whole batches in, those that survive out
    offset_map      what it goes by: the latest offset of each key, in bounded memory
    murmur2         Kafka's key hash, hence its partitioner
    kernel          selects the compiled loops or their pure twins

Rules
    * No files, sockets, clocks, threads: bytes in, bytes or errors out.
    * The modules named above are the specification. `_records`, `_builder`, `_bulk`, `_scan`,
      `_survey`, `_offset_map` and `_cleaning` are the same loops, compiled; both produce the same
      bytes, records and errors.
      Import the names from `streamlog.record.kernel`, never from a twin.
    * Lengths and counts read from a batch are lies until checked: nothing is read outside the
      buffer and nothing is allocated before the bytes that justify it are there.
    * A batch is a view. Nothing behind the 61 bytes of its header is touched until records are
      asked for, and then one record is decoded for each one handed out.

Not here: which offsets a batch gets (storage assigns them in place, they are outside the CRC),
message formats v0 and v1 (recognised and refused by name), and the bodies of KRaft's control
records (protocol).
"""

from __future__ import annotations

from streamlog.record.timestamp_type import TimestampType

__all__ = ["TimestampType"]
