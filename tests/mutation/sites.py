"""Mutants of durability: each sync, directory sync, rename, CRC check left out or moved.

They are found in the source by what is called. A mutant is a changed syntax tree of one function;
its name says where it is without a line number, so that it stays the same when lines move.

    left out    the statement does nothing and says that it did, the check says yes, `sync=False`
    late        it trades places with the statement after it
    early       with the one before it
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("storage", "broker", "record", "clients")

#: Calls that put something on the disk. The whole statement goes.
SYNCS = frozenset("fdatasync fsync sync_directory sync_names sync_identity _sync_file sync".split())
RENAMES = frozenset(["rename"])
#: Calls that a crash may come before, and others see: what a sync or a rename is in order with.
EFFECTS = SYNCS.union(
    RENAMES,
    "exchange link unlink mkdir rmdir truncate write_file write_atomically remove_files".split(),
    "remove_tree store_synced publish_state _publish set_header_state settle_indexes".split(),
    "write_producer_snapshot write_leader_epochs".split(),
)
#: Those of which it is asked whether they did it: they say that they did.
ANSWERING = frozenset(["_sync_file", "exchange"])
#: Calls whose default it is to sync, by the keyword that keeps them from it.
SYNCING = {"write_file": "sync", "write_atomically": "sync_parent"}
CHECKSUMS = frozenset(["crc32c", "crc32"])
#: What the end of a scan is called, where its CRCs are left out on purpose.
_ENDS = frozenset(["end", "limit", "scan.size"])


class Mutant(NamedTuple):
    """One change. `function` and its first `line` are those by which it is found when running."""

    name: str
    path: str
    function: str
    line: int
    tree: ast.Module


def find_mutants() -> list[Mutant]:
    """Every mutant of the sources, in their order."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / "streamlog" / folder).glob("*.py")):
            found += mutants_of(path, ROOT / "streamlog")
    names = Counter(mutant.name for mutant in found)
    seen: Counter[str] = Counter()
    numbered = []
    for mutant in found:
        seen[mutant.name] += 1
        suffix = f" #{seen[mutant.name]}" if names[mutant.name] > 1 else ""
        numbered.append(mutant._replace(name=mutant.name + suffix))
    return numbered


def mutants_of(path: Path, root: Path) -> Iterator[Mutant]:
    """The mutants of one file below `root`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = ".".join(path.relative_to(root).with_suffix("").parts)
    for outer in _outermost(tree):
        line = min([outer.lineno, *(one.lineno for one in outer.decorator_list)])
        for function in (one for one in ast.walk(outer) if isinstance(one, ast.FunctionDef)):
            for what, change in _changes(function):
                name = f"{module}.{function.name}: {what}"
                yield Mutant(name, str(path), outer.name, line, _changed(tree, function, change))


def _outermost(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """The functions that are in no other: one in another comes and goes with its calls."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child
        else:
            yield from _outermost(child)


Change = Callable[[ast.FunctionDef], None]


def _changed(tree: ast.Module, function: ast.FunctionDef, change: Change) -> ast.Module:
    other = copy.deepcopy(tree)
    for node in ast.walk(other):
        if isinstance(node, ast.FunctionDef) and node.lineno == function.lineno:
            change(node)
    return ast.fix_missing_locations(other)


def _changes(function: ast.FunctionDef) -> Iterator[tuple[str, Change]]:
    """Each change of a function with a few words for it."""
    for number, node in enumerate(_own(function)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = _called(node.value)
            text = ast.unparse(node.value)
            if name in SYNCS or name in RENAMES:
                yield f"{text} left out", _at(number, _leave_out)
                yield from _moves(function, node, number, text)
            elif text == "batch.check()":
                yield f"{text} left out", _at(number, _leave_out)
        if isinstance(node, ast.UnaryOp) and _asks_whether_done(node.operand):
            yield f"{ast.unparse(node.operand)} left out", _at(number, _say_done)
        if isinstance(node, ast.Call):
            name = _called(node)
            named = {keyword.arg for keyword in node.keywords}
            if name in SYNCING and SYNCING[name] not in named:
                yield f"{ast.unparse(node)} does not sync", _at(number, _do_not_sync)
            if any(_checks_crc(keyword) for keyword in node.keywords):
                yield f"{name} checks no CRC", _at(number, _check_no_crc)
        if isinstance(node, ast.keyword) and _asks_for_sync(node):
            yield f"{node.arg}=False", _at(number, _say_no)
        if isinstance(node, ast.Compare) and _compares_checksum(node):
            yield f"{ast.unparse(node)} is not looked at", _at(number, _agree)


def _moves(
    function: ast.FunctionDef, node: ast.stmt, number: int, text: str
) -> Iterator[tuple[str, Change]]:
    body = next(body for body in _bodies(function) if node in body)
    place = body.index(node)
    if place + 1 < len(body) and _has_effect(body[place + 1]):
        yield f"{text} late", _at(number, lambda f, n: _swap(f, n, 1))
    is_rename = text.partition("(")[0].rpartition(".")[2] in RENAMES
    if is_rename and place > 0 and _has_effect(body[place - 1]):
        yield f"{text} early", _at(number, lambda f, n: _swap(f, n, -1))


def _asks_whether_done(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _called(node) in ANSWERING


def _checks_crc(node: ast.keyword) -> bool:
    """Whether any CRC is looked at: none is from the end on."""
    return node.arg == "check_crc_from" and ast.unparse(node.value) not in _ENDS


def _asks_for_sync(node: ast.keyword) -> bool:
    """Whether it is asked for here: not where it is refused, or handed on."""
    value = ast.unparse(node.value)
    return node.arg in {"sync", "sync_parent"} and value not in {"False", node.arg}


def _has_effect(statement: ast.stmt) -> bool:
    """Whether it does something that a crash could come before, when it is come by."""
    if isinstance(statement, ast.FunctionDef):
        return False
    calls = (node for node in ast.walk(statement) if isinstance(node, ast.Call))
    return any(_called(call) in EFFECTS for call in calls)


def _own(function: ast.FunctionDef) -> list[ast.AST]:
    """The nodes of a function, without those of functions in it."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop(0)
        found.append(node)
        if not isinstance(node, ast.FunctionDef):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def _bodies(function: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
    for node in [function, *_own(function)]:
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                yield body


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _compares_checksum(node: ast.Compare) -> bool:
    inside = list(ast.walk(node))
    calls = {_called(one) for one in inside if isinstance(one, ast.Call)}
    names = {one.id for one in inside if isinstance(one, ast.Name)}
    return bool(calls & CHECKSUMS or "computed" in names)


# ---------------------------------------------------------------- the changes


def _at(number: int, change: Callable[[ast.FunctionDef, ast.AST], None]) -> Change:
    return lambda function: change(function, _own(function)[number])


def _leave_out(function: ast.FunctionDef, node: ast.AST) -> None:
    """Have a statement do nothing; its names stay, so that the function keeps its variables."""
    names = sorted({one.id for one in ast.walk(node) if isinstance(one, ast.Name)})
    loads: list[ast.expr] = [ast.Name(name, ast.Load()) for name in names]
    nothing = ast.Expr(ast.Tuple(loads, ast.Load()))
    for body in _bodies(function):
        if node in body:
            body[body.index(node)] = ast.copy_location(nothing, node)  # type: ignore[type-var]
            return


def _swap(function: ast.FunctionDef, node: ast.AST, step: int) -> None:
    for body in _bodies(function):
        if node in body:
            place = body.index(node)  # type: ignore[arg-type]
            body[place], body[place + step] = body[place + step], body[place]
            return


def _do_not_sync(_: ast.FunctionDef, node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    keyword = SYNCING[_called(node)]
    node.keywords.append(ast.keyword(arg=keyword, value=ast.Constant(value=False)))


def _check_no_crc(_: ast.FunctionDef, node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    for keyword in node.keywords:
        if keyword.arg == "check_crc_from":
            keyword.value = ast.Constant(value=1 << 62)


def _say_no(_: ast.FunctionDef, node: ast.AST) -> None:
    assert isinstance(node, ast.keyword)
    node.value = ast.Constant(value=False)


def _say_done(_: ast.FunctionDef, node: ast.AST) -> None:
    assert isinstance(node, ast.UnaryOp)
    node.operand = ast.Constant(value=True)


def _agree(_: ast.FunctionDef, node: ast.AST) -> None:
    """Have the comparison come out as it does for data that is as it should be."""
    assert isinstance(node, ast.Compare)
    is_equality = isinstance(node.ops[0], ast.Eq)
    one = ast.Constant(value=0)
    other = ast.Constant(value=0)
    node.left, node.comparators = one, [other]
    node.ops = [ast.Eq() if is_equality else ast.NotEq()]
