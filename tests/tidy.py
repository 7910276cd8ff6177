"""The rules about source text, each a function from a source to its violations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """One file. `tree` is None where it is not Python."""

    name: str
    text: str
    tree: ast.Module | None


def read_source(path: Path, root: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return make_source(path.relative_to(root).as_posix(), text)


def make_source(name: str, text: str) -> Source:
    return Source(name, text, ast.parse(text) if name.endswith(".py") else None)


def long_file(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield f"{source.name}: {lines} lines, at most {FILE_LINES_MAX}"


def long_functions(source: Source) -> Iterator[str]:
    spans = _python_spans(source.tree) if source.tree else _cython_spans(source.text)
    for name, line, length in spans:
        if length > FUNCTION_LINES_MAX:
            yield f"{source.name}:{line} {name}: {length} lines, at most {FUNCTION_LINES_MAX}"


def _python_spans(tree: ast.Module) -> Iterator[tuple[str, int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            assert node.end_lineno is not None
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


_CYTHON_FUNCTION = re.compile(r"^(\s*)(?:async def|c?p?def)\b(?! class\b)[^=#]*?\b(\w+)\s*\(")


def _cython_spans(text: str) -> Iterator[tuple[str, int, int]]:
    """A function lasts until the last line that is indented deeper than its `def`."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        found = _CYTHON_FUNCTION.match(line)
        if found is None:
            continue
        indent, end = len(found[1]), start
        for position in range(start + 1, len(lines)):
            body = lines[position]
            if body.strip() and not body.lstrip().startswith(")"):
                if len(body) - len(body.lstrip()) <= indent:
                    break
                end = position
        yield found[2], start + 1, end - start + 1


def swallowed_exceptions(source: Source) -> Iterator[str]:
    """Catching everything and doing nothing, in its three spellings."""
    for node in ast.walk(source.tree) if source.tree else ():
        if isinstance(node, ast.ExceptHandler):
            everything = node.type is None or _names_everything(node.type)
            idle = all(isinstance(statement, (ast.Pass, ast.Continue)) for statement in node.body)
            if everything and idle:
                yield f"{source.name}:{node.lineno}: catches everything and does nothing"
        elif isinstance(node, ast.Call) and _called_name(node) == "suppress":
            for argument in filter(_names_everything, node.args):
                yield f"{source.name}:{argument.lineno}: suppresses everything"


def _names_everything(node: ast.expr) -> bool:
    return ast.unparse(node) in ("Exception", "BaseException")


_UNFINISHED_WORDS = ("TODO", "FIXME", "XXX", "HACK")
_UNFINISHED = re.compile(rf"#.*\b(?:{'|'.join(_UNFINISHED_WORDS)})\b")


def unfinished_work(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if _UNFINISHED.search(line):
            yield f"{source.name}:{number}: do it, or write down why not: {line.strip()}"


SLEEP_REASON = "# sleeps in a child process:"


def sleeps(source: Source) -> Iterator[str]:
    """A sleep in a test is a race; a child that must hang says so in a comment on its line."""
    lines = source.text.splitlines()
    for node in ast.walk(source.tree) if source.tree else ():
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called not in ("time.sleep", "sleep", "asyncio.sleep"):
            continue
        if called == "asyncio.sleep" and ast.unparse(node).endswith("(0)"):
            continue  # gives way to other tasks, waits for nothing
        if SLEEP_REASON not in lines[node.lineno - 1]:
            yield f"{source.name}:{node.lineno}: waits by sleeping; wait for an event"


def imports_of(source: Source, forbidden: frozenset[str]) -> Iterator[str]:
    """Imports of the named top-level modules; in Cython also `cimport`."""
    pattern = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", re.MULTILINE)
    for found in pattern.finditer(source.text):
        module = found[1] or found[2]
        if module in forbidden or module.split(".")[0] in forbidden:
            line = source.text.count("\n", 0, found.start()) + 1
            yield f"{source.name}:{line}: imports {module}"


def unlocked_calls(source: Source) -> Iterator[str]:
    """A function whose name ends in `_locked` is called by its like, or where a lock is taken.

    Taken means: inside a `with` whose expression names a lock, or after a call in the same
    function whose name says that it takes one (`lock`, `try_lock`, `acquire`, `begin_append`).
    """
    for function in ast.walk(source.tree) if source.tree else ():
        if not isinstance(function, Function) or function.name.endswith("_locked"):
            continue
        taken = _lines_with_lock(function)
        calls = [node for node in _own_nodes(function) if isinstance(node, ast.Call)]
        for call in calls:
            name = _called_name(call)
            if name.endswith("_locked") and call.lineno not in taken:
                yield (
                    f"{source.name}:{call.lineno}: {function.name} calls {name} "
                    "without a lock in sight"
                )


_LOCK = re.compile(r"lock|mutex|exclusive", re.IGNORECASE)
_TAKES_LOCK = re.compile(r"^_?(?:try_)?(?:\w*_)?(?:lock|acquire)(?:_\w+)?$")


def _lines_with_lock(function: Function) -> set[int]:
    lines: set[int] = set()
    last = function.end_lineno or function.lineno
    for node in _own_nodes(function):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            if any(_LOCK.search(ast.unparse(item.context_expr)) for item in node.items):
                lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        elif isinstance(node, ast.Call) and _takes_lock(_called_name(node)):
            lines.update(range(node.lineno, last + 1))
    return lines


def _takes_lock(name: str) -> bool:
    return bool(_TAKES_LOCK.match(name)) and not name.endswith("_locked") and "unlock" not in name


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it, which are looked at alone."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, Function):
            waiting.extend(ast.iter_child_nodes(node))


def _called_name(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


PAGE_LINES_MIN = 5


def missing_page(source: Source) -> Iterator[str]:
    """A package opens with a page: what it is, its parts, its rules, what it is not."""
    assert source.tree is not None
    page = ast.get_docstring(source.tree) or ""
    lines = [line for line in page.splitlines() if line.strip()]
    if len(lines) < PAGE_LINES_MIN:
        yield f"{source.name}: opens with {len(lines)} lines, a page has {PAGE_LINES_MIN} or more"
