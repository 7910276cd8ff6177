"""How objects of one type become bytes and come back: for typed topics.

JSON and MessagePack are msgspec's, with the type checked both ways: an object that could not be
read back as its type is not written. Bytes stay as they are; text, integers and UUIDs, which are
what keys are made of, are written as Kafka's own serializers write them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, get_args
from uuid import UUID

import msgspec

from streamlog.clients import serialization
from streamlog.errors import ConfigError

T = TypeVar("T")

Format = Literal["json", "msgpack"]
_FORMATS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "json": (msgspec.json.Encoder, msgspec.json.Decoder),
    "msgpack": (msgspec.msgpack.Encoder, msgspec.msgpack.Decoder),
}
_PLAIN: dict[Any, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    str: (serialization.serialize_text, serialization.deserialize_text),
    int: (serialization.serialize_long, serialization.deserialize_long),
    UUID: (serialization.serialize_uuid, serialization.deserialize_uuid),
}


class TypeCodec(Generic[T]):
    """`encode` and `decode` of one type; both None for bytes, which need neither."""

    __slots__ = ("_name", "decode", "encode")

    def __init__(
        self,
        name: str,
        encode: Callable[[T], bytes] | None,
        decode: Callable[[bytes], T] | None,
    ) -> None:
        self._name = name
        self.encode = encode
        self.decode = decode

    def __repr__(self) -> str:
        return self._name


def codec_of_keys(key_type: type[T], encoding: str) -> TypeCodec[T]:
    """That of a key: Kafka's own formats where there is one. Raises `ConfigError`."""
    if key_type in _PLAIN:
        encode, decode = _PLAIN[key_type]
        return TypeCodec(key_type.__name__, _Checked(encode, _class_of(key_type)), decode)
    return codec_of_values(key_type, encoding)


def codec_of_values(value_type: type[T], encoding: str) -> TypeCodec[T]:
    """That of a value. Raises `ConfigError` for a type that msgspec cannot tell apart."""
    if value_type is bytes:
        return TypeCodec("bytes", None, None)
    if encoding not in _FORMATS:
        allowed = " or ".join(repr(name) for name in _FORMATS)
        raise ConfigError(
            f"value_format={encoding!r} is not known: it must be {allowed}",
            name="value_format",
            value=encoding,
            allowed=allowed,
        )
    encoder, decoder = _FORMATS[encoding]
    try:
        decode = decoder(value_type).decode
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"records cannot be of type {value_type!r}: {error}",
            name="value_type",
            value=value_type,
        ) from error
    encode = _Checked(encoder().encode, _class_of(value_type), decode)
    return TypeCodec(f"{_named(value_type)} as {encoding}", encode, decode)


class _Checked:
    """Encodes what is of the type and can be read back; raises `TypeError` for the rest."""

    __slots__ = ("_classes", "_decode", "_encode")

    def __init__(
        self,
        encode: Callable[[Any], bytes],
        classes: tuple[type, ...],
        decode: Callable[[bytes], Any] | None = None,
    ) -> None:
        self._encode = encode
        self._classes = classes
        self._decode = decode

    def __call__(self, value: Any) -> bytes:
        if self._classes and not isinstance(value, self._classes):
            expected = " or ".join(known.__name__ for known in self._classes)
            raise TypeError(f"{expected} is expected, not {type(value).__name__}")
        data = self._encode(value)
        if self._decode is not None:
            self._decode(data)  # an object's fields may be anything; its readers' may not
        return data


def _class_of(wanted: Any) -> tuple[type, ...]:
    """The classes that an object must have; empty where only its bytes can tell.

    A float may be written as an integer, and a list may be any sequence.
    """
    parts = () if isinstance(wanted, type) else get_args(wanted)
    classes = tuple(part for part in parts or (wanted,) if part is not type(None))
    return classes if all(map(_is_particular, classes)) else ()


def _is_particular(wanted: Any) -> bool:
    return isinstance(wanted, type) and (wanted in _PLAIN or wanted.__module__ != "builtins")


def _named(value_type: Any) -> str:
    return value_type.__name__ if isinstance(value_type, type) else str(value_type)
