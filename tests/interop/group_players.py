"""One script of group requests, played to a real broker and to our coordinator.

A player sends requests, each on a connection of its own, and notes the responses in the order in
which the script asks for them. What two coordinators make up each for itself (the ids of members
and topics, hosts, texts of errors, the order of lists) is replaced by what it stands for; the
rest has to be equal.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple

import msgspec

from streamlog.coordinator import ErrorCode, GroupSettings
from streamlog.protocol import Uuid, message
from tests.coordinator.driver import World, make, topic_id

DEADLINE_S = 60.0
_LONGEST_NAME = 8
"""What a script calls a member is shorter, what a coordinator does is longer."""

_LEFT_OUT = {
    "throttle_time_ms",
    "error_message",
    "unknown_tagged_fields",
    "client_host",
    "authorized_operations",
}


class Pending(NamedTuple):
    """A request that is on its way."""

    label: str
    handle: Any
    name: str
    version: int
    made_an_id: bool


class Player:
    """Sends requests, and notes the responses.

    `topic_ids` are the topics of the other side, `newest` the versions to ask in, by API key.
    With `counts_only` it is noted how many partitions a member gets: which ones is not specified
    where several assignments are equally good.
    """

    def __init__(self, topic_ids: Mapping[str, Uuid], newest: Mapping[int, int]) -> None:
        self.transcript: list[tuple[str, Any]] = []
        self.topic_ids = dict(topic_ids)
        self.newest = newest
        self.counts_only = False
        self._aliases: dict[str, str] = {}

    def call(self, name: str, /, version: int | None = None, **fields: Any) -> Any:
        """Ask and wait for the answer."""
        return self.wait(self.send(name, version, **fields))

    def send(self, name: str, /, version: int | None = None, **fields: Any) -> Pending:
        """Ask; the answer may be a while."""
        kind = message(f"{name}Request")
        version = self.newest[kind.api_key or 0] if version is None else version
        client = fields.pop("client", "client")
        handle = self._send(make(f"{name}Request", **fields), name, version, client)
        made_an_id = fields.get("member_id") == ""
        label = f"{len(self.transcript)} {name} v{version}"
        return Pending(label, handle, name, version, made_an_id)

    def wait(self, pending: Pending) -> Any:
        """The answer to a request."""
        response = self._wait(pending)
        if pending.made_an_id and getattr(response, "member_id", None):
            self._aliases.setdefault(response.member_id, f"<member {len(self._aliases)}>")
        self.transcript.append((pending.label, self._plain(response)))
        return response

    def until(self, ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
        """Ask again until the answer is as wanted: only that one is noted."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            response = ask()
            last = self.transcript.pop()
            if wanted(response):
                self.transcript.append(("until", last[1]))
                return response
        raise AssertionError(f"never as wanted: {last}")

    def _send(self, request: Any, name: str, version: int, client: str) -> Any:
        raise NotImplementedError

    def _wait(self, pending: Pending) -> Any:
        raise NotImplementedError

    def _plain_field(self, name: str, value: Any) -> Any:
        if name == "error_code":
            return _code(value)
        if name in ("member_id", "leader") and len(value or "") > _LONGEST_NAME:
            return self._aliases.get(value, "<somebody>")
        if self.counts_only and name in ("partitions", "member_assignment"):
            counted = name == "partitions" and all(isinstance(entry, int) for entry in value)
            return f"{len(value)} partitions" if counted else "<some>"
        return self._plain(value)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            return {
                name: self._plain_field(name, field)
                for name, field in fields.items()
                if name not in _LEFT_OUT
            }
        if isinstance(value, (list, tuple)):
            return sorted((self._plain(item) for item in value), key=repr)
        if isinstance(value, Uuid):
            names = {number: name for name, number in self.topic_ids.items()}
            return names.get(value, value)
        return value


class BrokerPlayer(Player):
    """Plays to a broker, over sockets."""

    def __init__(self, bootstrap: str, topics: Mapping[str, int]) -> None:
        host, _, port = bootstrap.partition(":")
        self._address = (host, int(port))
        super().__init__({}, {})
        found = self._ask("Metadata", 12, topics=None).topics
        known = {topic.name: topic.topic_id for topic in found}
        self.topic_ids = {name: known[name] for name in topics}
        offered = self._ask("ApiVersions", 3, client_software_name="t", client_software_version="1")
        self.newest = {key.api_key: key.max_version for key in offered.api_keys}
        while not self._is_ready():
            pass  # it makes the topic of offsets when it is first asked for a coordinator

    def _is_ready(self) -> bool:
        self._ask("FindCoordinator", 4, coordinator_keys=["g"])
        response = self._ask("Heartbeat", 4, group_id="g", generation_id=1, member_id="m")
        return bool(response.error_code == ErrorCode.UNKNOWN_MEMBER_ID)

    def _ask(self, name: str, version: int, **fields: Any) -> Any:
        handle = self._send(make(f"{name}Request", **fields), name, version, "client")
        return self._wait(Pending("", handle, name, version, made_an_id=False))

    def _send(self, request: Any, name: str, version: int, client: str) -> socket.socket:
        kind = message(f"{name}Request")
        flexible = version >= kind.flexible_versions[0] and kind.flexible_versions[1] >= 0
        header = make(
            "RequestHeader",
            request_api_key=kind.api_key,
            request_api_version=version,
            correlation_id=7,
            client_id=client,
        )
        frame = message("RequestHeader").encode(header, 2 if flexible else 1)
        frame += kind.encode(request, version)
        connection = socket.create_connection(self._address, DEADLINE_S)
        connection.sendall(len(frame).to_bytes(4, "big") + frame)
        return connection

    def _wait(self, pending: Pending) -> Any:
        kind = message(f"{pending.name}Response")
        flexible = (
            pending.name != "ApiVersions"
            and pending.version >= kind.flexible_versions[0]
            and kind.flexible_versions[1] >= 0
        )
        with closing(pending.handle) as connection:
            size = int.from_bytes(_read(connection, 4), "big")
            frame = _read(connection, size)
        _, start = message("ResponseHeader").decode(frame, 1 if flexible else 0)
        return kind.decode_whole(frame, pending.version, start)


class MachinePlayer(Player):
    """Plays to our coordinator; time passes while it waits."""

    def __init__(
        self, topics: Mapping[str, int], settings: GroupSettings, newest: Mapping[int, int]
    ) -> None:
        super().__init__({name: topic_id(name) for name in topics}, newest)
        self.world = World(topics, settings)

    def _send(self, request: Any, name: str, version: int, client: str) -> Any:
        fields = {field: getattr(request, field) for field in request.__struct_fields__}
        self.world.clock.advance(1)
        return self.world.send(name, version=version, client=client, **fields)

    def _wait(self, pending: Pending) -> Any:
        world = self.world
        while pending.handle not in world.answers:
            deadline = world.coordinator.next_deadline_ms()
            assert deadline is not None, f"{pending.label} is never answered"
            world.clock.advance(max(deadline - world.clock.monotonic_ms, 0))
        response = world.answer(pending.handle)
        kind = message(f"{pending.name}Response")
        return kind.decode_whole(kind.encode(response, pending.version), pending.version)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = connection.recv(size - len(data))
        assert got, "the broker closed the connection"
        data += got
    return data


def _code(number: int) -> str:
    known = {code.value: code.name for code in ErrorCode}
    return known.get(number, str(number))
