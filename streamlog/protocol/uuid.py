"""`Uuid`: Kafka's 128-bit identifier of topics, directories and incarnations."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import ClassVar, Self

# Base64's own alphabet against the URL-safe one; `base64` does the same and costs an import.
_TO_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_SAFE = str.maketrans("-_+/", "+/!!")


class Uuid(bytes):
    """Sixteen bytes that print as Kafka prints them: 22 characters of URL-safe base64.

    Equal to, ordered and hashed like the bytes themselves. ValueError unless they are sixteen.
    """

    __slots__ = ()

    ZERO: ClassVar[Uuid]
    """No identifier: what an absent one is encoded as."""
    ONE: ClassVar[Uuid]
    """Reserved by Kafka for the metadata topic and lost log directories."""

    def __new__(cls, raw: bytes | bytearray | memoryview) -> Self:
        if len(raw) != 16:
            raise ValueError("a Uuid is made of 16 bytes")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The Uuid that prints as `text`; ValueError when none does."""
        try:
            raw = a2b_base64(text.translate(_FROM_SAFE) + "==", strict_mode=True)
        except (ValueError, UnicodeError) as error:
            raise ValueError(f"not a Uuid: {text!r}") from error
        if len(text) != 22 or len(raw) != 16:
            raise ValueError(f"not a Uuid: {text!r} (22 characters of URL-safe base64)")
        return cls(raw)

    @classmethod
    def from_random(cls, raw: bytes) -> Self | None:
        """A version 4 identifier made of 16 random bytes, or None when Kafka avoids it.

        Kafka draws again when the text has a dash, which at its start a command line takes for
        an option: so should the caller on None (about one draw in four).
        """
        if len(raw) != 16:
            raise ValueError("a Uuid is made of 16 bytes")
        drawn = bytearray(raw)
        drawn[6] = (drawn[6] & 0x0F) | 0x40
        drawn[8] = (drawn[8] & 0x3F) | 0x80
        made = cls(drawn)
        return None if "-" in str(made) else made

    def __str__(self) -> str:
        return b2a_base64(self)[:22].translate(_TO_SAFE).decode("ascii")

    def __repr__(self) -> str:
        return f"Uuid({str(self)!r})"


Uuid.ZERO = Uuid(bytes(16))
Uuid.ONE = Uuid(bytes(15) + b"\x01")
