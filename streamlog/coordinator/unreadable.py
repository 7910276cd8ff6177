"""Records that do not fit their definition: passed over, with a word to who runs this.

They are a newer broker's, or nobody's. All other groups of the partition are as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlog.errors import SchemaError


def pass_over(log_offset: int, error: SchemaError) -> None:
    """Warn of the record at `log_offset`, of which nothing is taken in."""
    import logging  # costs as much as all else that is loaded, and is hardly ever needed

    logging.getLogger("streamlog").warning(
        "a coordinator's record is passed over, at offset %d of its partition: %s",
        log_offset,
        error,
    )
