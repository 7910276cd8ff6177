"""Mutants that may live, each with the reason why nothing is lost without it."""

from __future__ import annotations

SPARED: dict[str, str] = {
    "storage.filesystem.fdatasync: self.fsync(descriptor) left out": (
        "it is for systems that have no fdatasync"
    ),
    "storage.sync.sync_segments_locked: filesystem.fdatasync(descriptor) left out": (
        "the same files are synced by name; these descriptors are for hearing of errors"
    ),
    "storage.segment_swap.swap_in_locked: filesystem.sync_directory(directory) late": (
        "what is published tells of names to who has the machine as it is; a power cut ends both"
    ),
    "broker.closing._settle: log.sync(log.log_end) late": (
        "nothing that a close writes counts before the checkpoints, which come after all of it"
    ),
    "storage.partition_metadata.write_partition_metadata: filesystem.write_atomically(path, "
    "format_partition_metadata(topic_id)) does not sync": (
        "recovery alone writes it anew, from the metadata, and would again"
    ),
}
