"""Kafka's APIs: their keys, names and versions, and which of them an endpoint offers.

Everything but the offer comes from the definitions of the requests. The offer is data too:
`definitions/offered.json`, versions by an API's name. It reaches below what can be decoded in one
place, Produce 0 to 2: librdkafka before 2.11.1 compresses nothing unless they are offered
(KAFKA-18659), and no client uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from streamlog.protocol.definition import VersionRange, parse_versions
from streamlog.protocol.definitions import load_family, load_text
from streamlog.protocol.error_codes import UNSUPPORTED_VERSION
from streamlog.protocol.message import Message, message

PRODUCE: Final = 0
API_VERSIONS: Final = 18

Offer = Mapping[int, VersionRange]
"""The versions of each API, by its key, that an endpoint answers."""


class Api(msgspec.Struct, frozen=True):
    """An API: `versions` can be encoded and decoded here, `flexible` ones have tagged fields."""

    key: int
    name: str
    versions: VersionRange
    flexible: VersionRange

    @property
    def request(self) -> Message:
        return message(f"{self.name}Request")

    @property
    def response(self) -> Message:
        return message(f"{self.name}Response")

    def request_header_version(self, version: int) -> int:
        """The version of the header in front of a request of that version."""
        return 2 if version in self.flexible else 1

    def response_header_version(self, version: int) -> int:
        """The version of the header in front of a response of that version.

        Of ApiVersions always 0: a client that does not know yet what the other side speaks must
        be able to read it (KIP-511).
        """
        return 1 if version in self.flexible and self.key != API_VERSIONS else 0


@cache
def apis() -> dict[int, Api]:
    """Every API by its key."""
    return {
        definition["apiKey"]: Api(
            definition["apiKey"],
            name.removesuffix("Request"),
            parse_versions(definition["versions"]),
            parse_versions(definition["flexible"]),
        )
        for name, definition in load_family("requests").items()
    }


@cache
def api_of(name: str) -> Api:
    """The API called `name`, e.g. "Produce". LookupError when Kafka has none."""
    for api in apis().values():
        if api.name == name:
            return api
    raise LookupError(f"no API is called {name!r}")


@cache
def offered() -> Offer:
    """What an endpoint of streamlog answers; one that answers less takes keys out of a copy."""
    versions: dict[str, str] = msgspec.json.decode(load_text("offered"))
    return {api_of(name).key: parse_versions(text) for name, text in versions.items()}


def offered_versions(offer: Offer) -> list[Any]:
    """`offer` as the `api_keys` of an ApiVersionsResponse."""
    new = message("ApiVersionsResponse").structs["ApiVersion"]
    return [new(key, versions.low, versions.high) for key, versions in offer.items()]


def refusal(offer: Offer) -> Any:
    """The ApiVersionsResponse to a request of a version that is not in `offer` (KIP-511).

    It tells the versions that are, of this API alone, and the client asks again.
    """
    own = {API_VERSIONS: offer[API_VERSIONS]}
    return message("ApiVersionsResponse").Value(
        error_code=UNSUPPORTED_VERSION, api_keys=offered_versions(own)
    )
