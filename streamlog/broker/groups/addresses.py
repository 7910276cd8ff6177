"""The address of a listener as a word of `streamlog.members`: IPv4 and port, 0 for none."""

from __future__ import annotations

import socket

_PORT_BITS = 16

Address = tuple[str, int]


def encode_address(address: Address) -> int:
    host, port = address
    return int.from_bytes(socket.inet_aton(host), "big") << _PORT_BITS | port


def decode_address(word: int) -> Address | None:
    if word == 0:
        return None
    host = socket.inet_ntoa((word >> _PORT_BITS).to_bytes(4, "big"))
    return host, word & (1 << _PORT_BITS) - 1
