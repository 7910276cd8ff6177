"""DescribeConfigs, IncrementalAlterConfigs, AlterConfigs, ListConfigResources (facts 8.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, Literal

from streamlog.config import AlterConfigOp
from streamlog.errors import BrokerError, ClosedError, ForkedHandleError, StreamlogError
from streamlog.listener.answers import INVALID_REQUEST, UNSUPPORTED_VERSION, code_for, text_of
from streamlog.protocol import message

if TYPE_CHECKING:
    from streamlog.config.config_entry import ConfigEntry
    from streamlog.listener.connection import Connection
    from streamlog.listener.endpoint import Endpoint
    from streamlog.protocol.exchange import Request

_TOPIC: Final = 2
_BROKER: Final = 4
_GROUP: Final = 32
_OPERATIONS: Final[tuple[Literal["set", "delete", "append", "subtract"], ...]] = (
    "set",
    "delete",
    "append",
    "subtract",
)

_described = message("DescribeConfigsResponse")
_result = _described.structs["DescribeConfigsResult"]
_entry = _described.structs["DescribeConfigsResourceResult"]
_synonym = _described.structs["DescribeConfigsSynonym"]
_listed = message("ListConfigResourcesResponse")
_resource = _listed.structs["ConfigResource"]


# ---------------------------------------------------------------- described


async def describe_configs(connection: Connection, request: Request) -> Any:
    """Every setting of topics, groups and of this node, with where its value comes from."""
    return await connection.endpoint.run(_describe, connection.endpoint, request)


def _describe(endpoint: Endpoint, request: Request) -> Any:
    return _described.Value(
        results=[_describe_one(endpoint, request, each) for each in request.body.resources]
    )


def _describe_one(endpoint: Endpoint, request: Request, asked: Any) -> Any:
    kind, name, keys = asked.resource_type, asked.resource_name, asked.configuration_keys
    try:
        entries = _entries(endpoint, kind, name)
    except (ClosedError, ForkedHandleError):
        raise
    except StreamlogError as error:
        return _result(code_for(error), text_of(error), kind, name)
    chosen = [each for each in entries.values() if keys is None or each.name in keys]
    return _result(0, None, kind, name, [_describe_entry(request, each) for each in chosen])


def _entries(endpoint: Endpoint, kind: int, name: str) -> dict[str, ConfigEntry]:
    if kind == _TOPIC:
        return endpoint.engine.configs.describe(name)
    if kind == _BROKER:
        return endpoint.engine.broker_configs.describe(name, endpoint.node_id, endpoint.config)
    if kind == _GROUP and name:
        return endpoint.engine.groups.configs.describe(name)
    text = f"there are no settings of {name!r}, of the kind {kind}"
    raise BrokerError(text, code=INVALID_REQUEST)


def _describe_entry(request: Request, entry: ConfigEntry) -> Any:
    body = request.body
    synonyms = entry.synonyms if body.include_synonyms else ()
    return _entry(
        name=entry.name,
        value=None if entry.is_sensitive else entry.value,
        read_only=entry.is_read_only,
        config_source=int(entry.source),
        is_sensitive=entry.is_sensitive,
        synonyms=[
            _synonym(each.name, None if entry.is_sensitive else each.value, int(each.source))
            for each in synonyms
        ],
        config_type=int(entry.type),
        documentation=entry.documentation if body.include_documentation else None,
    )


# ---------------------------------------------------------------- altered


async def incremental_alter_configs(connection: Connection, request: Request) -> Any:
    """Change some settings of topics, groups and nodes (KIP-339)."""
    return await connection.endpoint.run(
        _alter, connection.endpoint, request, "IncrementalAlterConfigs", _incremental_changes
    )


async def alter_configs(connection: Connection, request: Request) -> Any:
    """Replace all settings of what is named: those not given go back to their defaults."""
    return await connection.endpoint.run(
        _alter, connection.endpoint, request, "AlterConfigs", _replacing_changes
    )


def _alter(
    endpoint: Endpoint,
    request: Request,
    api: str,
    changes_of: Callable[[Collection[str], Any], dict[str, AlterConfigOp]],
) -> Any:
    response = message(f"{api}Response")
    answer = response.structs["AlterConfigsResourceResponse"]
    resources = request.body.resources
    times = Counter((each.resource_type, each.resource_name) for each in resources)
    responses = []
    for each in resources:
        kind, name = each.resource_type, each.resource_name
        try:
            if times[kind, name] > 1:
                raise BrokerError(f"{name!r} is in the request twice", code=INVALID_REQUEST)
            present = _present(endpoint, kind, name)
            changes = changes_of(present, each)
            _apply(endpoint, kind, name, changes, validate_only=request.body.validate_only)
        except (ClosedError, ForkedHandleError):
            raise
        except StreamlogError as error:
            responses.append(answer(code_for(error), text_of(error), kind, name))
        else:
            responses.append(answer(0, None, kind, name))
    return response.Value(responses=responses)


def _present(endpoint: Endpoint, kind: int, name: str) -> Collection[str]:
    """The settings that a resource has of its own. Raises what says that it can have none."""
    if kind == _TOPIC:
        return endpoint.engine.topic(name).settings
    if kind == _GROUP and name:
        return endpoint.engine.groups.configs.of(name)
    if kind == _BROKER:
        return endpoint.engine.broker_configs.changed(name, endpoint.node_id)
    text = f"the settings of {name!r}, of the kind {kind}, cannot be changed"
    raise BrokerError(text, code=INVALID_REQUEST)


def _apply(
    endpoint: Endpoint,
    kind: int,
    name: str,
    changes: dict[str, AlterConfigOp],
    *,
    validate_only: bool,
) -> None:
    if kind == _TOPIC:
        endpoint.engine.alter_topics({name: changes}, validate_only=validate_only)
    elif kind == _BROKER:
        endpoint.engine.broker_configs.alter(
            name, endpoint.node_id, changes, validate_only=validate_only
        )
    else:
        endpoint.engine.groups.configs.alter(name, changes, validate_only=validate_only)


def _incremental_changes(present: Collection[str], asked: Any) -> dict[str, AlterConfigOp]:  # noqa: ARG001
    _check_names(asked)
    changes = {}
    for each in asked.configs:
        if not 0 <= each.config_operation < len(_OPERATIONS):
            text = f"no operation has the number {each.config_operation}"
            raise BrokerError(text, code=INVALID_REQUEST)
        operation = _OPERATIONS[each.config_operation]
        if operation != "delete" and each.value is None:
            raise BrokerError(f"{each.name} has no value", code=INVALID_REQUEST)
        changes[each.name] = AlterConfigOp(operation, each.value)
    return changes


def _replacing_changes(present: Collection[str], asked: Any) -> dict[str, AlterConfigOp]:
    _check_names(asked)
    changes = {name: AlterConfigOp("delete") for name in present}
    for each in asked.configs:
        if each.value is None:
            raise BrokerError(f"{each.name} has no value", code=INVALID_REQUEST)
        changes[each.name] = AlterConfigOp("set", each.value)
    return changes


def _check_names(asked: Any) -> None:
    times = Counter(each.name for each in asked.configs)
    for name, count in times.items():
        if count > 1:
            raise BrokerError(f"{name} is in the request twice", code=INVALID_REQUEST)


# ---------------------------------------------------------------- listed


def list_config_resources(connection: Connection, request: Request) -> Any:
    """What has settings: topics, nodes, groups. (Version 0 asks for client metrics: none.)"""
    endpoint = connection.endpoint
    kinds = set(request.body.resource_types) if request.version >= 1 else {0}
    if request.version >= 1 and not kinds:
        kinds = {_TOPIC, _BROKER, _GROUP}
    if not kinds <= {0, _TOPIC, _BROKER, 8, 16, _GROUP}:
        return _listed.Value(error_code=UNSUPPORTED_VERSION)
    names = sorted(endpoint.engine.topics()) if _TOPIC in kinds else []
    found = [_resource(name, _TOPIC) for name in names]
    if _BROKER in kinds:
        found += [_resource(str(node_id), _BROKER) for node_id in sorted(endpoint.nodes())]
    if _GROUP in kinds:
        found += [_resource(name, _GROUP) for name in endpoint.engine.groups.configs.configured()]
    return _listed.Value(config_resources=found)
