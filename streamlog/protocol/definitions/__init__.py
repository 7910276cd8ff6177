"""Kafka's message definitions, one file a family, one line a message.

Each file is a JSON array. A message has `name`, `type`, `apiKey` (the record or request type,
where there is one), `versions`, `flexible`, `fields` and `structs` (those used by name in several
places). A field is one string, `Name type versions` and then, where they differ from nothing:

    =VALUE          the default (`=null` too)
    null=VERSIONS   where it may be null
    tag=N@VERSIONS  where it is a tagged field
    ignorable       may be dropped in versions that cannot express it
    flexible=none   keeps the old encoding in flexible versions

and a field with a structure of its own is a list: that string, then the structure's fields.
Kafka's generator knows a null default by the word "null" in quotes only: where its definitions say
a bare null (`ClassicMemberMetadata`, `AssignmentEpochs`, `LastAssignmentConfigs`), a field that is
not there is an empty one, null is written out, and so there is no `=null` here.

Only what bears on bytes is kept from Kafka's definitions. To take over a new Kafka release,
replace the lines of the messages that changed.

Beside the messages, each described where it is read:

    offered         the APIs and versions that an endpoint of streamlog answers (`api`)
    error_codes     Kafka's error codes (`error_codes`)
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

# In the order in which a name is looked for: what an opening log needs comes first.
FAMILIES = (
    "metadata_records",
    "control_records",
    "storage_records",
    "offsets_records",
    "transaction_records",
    "consumer_protocol",
    "share_records",
    "remote_log_records",
    "headers",
    "requests",
    "responses",
)


@cache
def load_family(family: str) -> dict[str, dict[str, Any]]:
    """The definitions of one family by message name, in the order of their api keys."""
    return {definition["name"]: definition for definition in msgspec.json.decode(load_text(family))}


def load_text(name: str) -> bytes:
    """The JSON text of one file."""
    # The package's own loader also reads from zip files, and costs no import.
    loader: Any = __spec__.loader
    text: bytes = loader.get_data(f"{__path__[0]}/{name}.json")
    return text


def find_definition(name: str) -> dict[str, Any]:
    """The definition of the message called `name`; LookupError when there is none."""
    if name.endswith("Request"):
        families: tuple[str, ...] = ("requests",)
    elif name.endswith("Response"):
        families = ("responses",)
    else:
        families = FAMILIES
    for family in families:
        definition = load_family(family).get(name)
        if definition is not None:
            return definition
    raise LookupError(f"no message is called {name!r}")
