# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes one rule of the gateway's guard away after the other, and asks the guard's own tests whether they notice.

A rule is an entry of a table (a name, a type, a path) or a statement that refuses something. It is taken away in this process, where the
tests that need nothing but their parameters are called by themselves: a run of pytest for each of some hundred rules would take an hour.

`python tests/support/guard_rules.py` prints, as JSON, how many rules there are and which of them no test misses. `--part keys` looks at
the rules of gateway_keys.py alone, `--leave-out rules` does without the tests of test_gateway_rules.py.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import inspect
import io
import json
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests/unit/roles/litellm"
#: The judges of a request. Others have rules of time and amounts, which are no tables, and hooks has none.
OTHERS = ("admission", "counts", "hooks", "ledger", "mutations", "places", "quotas", "rotation", "server", "tables", "usage")
PARTS = (
    *("access", "api", "body", "errors", "exit", "forms", "keys", "media", "messages"),
    *("models", "parameters", "requests", "routes", "sessions"),
)
#: Statements that refuse, or have somebody else look who refuses.
REFUSING = ("_fail", "_text", "_object", "_objects", "_content", "_part", "_messages", "_tools", "_tool_calls", "_responses", "_refuse")
CHECKING = ("check_", "_check", "_walk", "trim_images")
#: Where a rule of this part is most likely missed: those tests come first.
NAMED = {"api": "parameter_names", "media": "media_names"}

Test = Callable[[], object]
#: What a rule is called, and how it is taken away; the call puts it back.
Rule = tuple[str, Callable[[], Callable[[], None]]]


class _Collected:
    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = list(session.items)


def tests() -> dict[str, list[Test]]:
    """The tests that need no fixture, by the part of the guard that they are named after."""
    collected = _Collected()
    files = [str(path) for path in sorted(TESTS.glob("test_gateway_*.py")) if path.stem.removeprefix("test_gateway_") not in OTHERS]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), *files], plugins=[collected])
    found: dict[str, list[Test]] = {}
    for item in collected.items:
        if isinstance(item, pytest.Function):
            given = dict(item.callspec.params) if hasattr(item, "callspec") else {}
            if set(inspect.signature(item.obj).parameters) == set(given):
                part = item.path.stem.removeprefix("test_gateway_")
                found.setdefault(part, []).append(functools.partial(item.obj, **given))
    return found


def modules() -> dict[str, types.ModuleType]:
    return {part: sys.modules[f"gateway_{part}"] for part in PARTS}


@functools.cache
def _assigned(module: types.ModuleType) -> list[tuple[str, ast.expr]]:
    found: list[tuple[str, ast.expr]] = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.append((node.target.id, node.value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.append((node.targets[0].id, node.value))
    return found


def _put(old: Any, new: Any) -> list[tuple[types.ModuleType, str, Any]]:
    """Put a table in another's place, wherever a part of the guard has it, and work out again what was made of it."""
    before: list[tuple[types.ModuleType, str, Any]] = []
    changed: set[str] = set()
    for module in [module for name, module in sys.modules.items() if name.rpartition(".")[2].startswith(("gateway_", "test_gateway_"))]:
        for name, value in list(vars(module).items()):
            if value is old:
                before.append((module, name, value))
                setattr(module, name, new)
                changed.add(name)
    for module in modules().values():
        for name, expression in _assigned(module):
            if {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)} & changed and name not in changed:
                derived = vars(module)[name]
                made = eval(compile(ast.Expression(expression), name, "eval"), vars(module))
                before += _put(derived, made)
    return before


def _without(table: Any, entry: Any) -> Any:
    if isinstance(table, Mapping):
        return {key: value for key, value in table.items() if key != entry}
    return type(table)(value for value in table if value != entry)


def _taken(old: Any, new: Any) -> Callable[[], None]:
    before = _put(old, new)

    def back() -> None:
        for module, name, value in reversed(before):
            setattr(module, name, value)

    return back


def entries() -> Iterator[Rule]:
    for part, module in modules().items():
        for name, expression in _assigned(module):
            table = vars(module)[name]
            if not isinstance(table, (frozenset, tuple, Mapping)) or isinstance(expression, (ast.BinOp, ast.Name)):
                continue
            for entry in sorted(table, key=str):
                inner = table[entry] if isinstance(table, Mapping) else None
                if isinstance(table, Mapping) and isinstance(inner, (Mapping, frozenset)):
                    for one in sorted(inner):
                        changed = {**table, entry: _without(inner, one)}
                        yield f"{part}: {name}[{entry}]: {one}", functools.partial(_taken, table, changed)
                else:
                    yield f"{part}: {name}: {entry!s}", functools.partial(_taken, table, _without(table, entry))


def _refuses(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return node.exc is not None
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)):
        return False
    return node.value.func.id in REFUSING or node.value.func.id.startswith(CHECKING)


class _Take(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self.line = line

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt) and node.lineno == self.line and _refuses(node):
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)


def _codes(code: types.CodeType, prefix: str = "") -> Iterator[tuple[str, types.CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield prefix + constant.co_name, constant
            yield from _codes(constant, prefix + constant.co_name + ".")


def _functions(module: types.ModuleType) -> Iterator[tuple[str, types.FunctionType]]:
    for name, value in vars(module).items():
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
            yield name, value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for inner, method in vars(value).items():
                function = getattr(method, "__func__", method)
                if isinstance(function, types.FunctionType):
                    yield f"{name}.{inner}", function


def _run_without(module: types.ModuleType, source: str, line: int) -> Callable[[], None]:
    changed = dict(_codes(compile(ast.fix_missing_locations(_Take(line).visit(ast.parse(source))), str(module.__file__), "exec")))
    before = []
    for name, function in _functions(module):
        if name in changed and changed[name].co_freevars == function.__code__.co_freevars:
            before.append((function, function.__code__))
            function.__code__ = changed[name]

    def back() -> None:
        for function, code in before:
            function.__code__ = code

    return back


def statements() -> Iterator[Rule]:
    for part, module in modules().items():
        source = inspect.getsource(module)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.stmt) and _refuses(node):
                text = " ".join((ast.get_source_segment(source, node) or "").split())
                yield f"{part}: {node.lineno}: {text}", functools.partial(_run_without, module, source, node.lineno)


def missed(found: list[Test]) -> bool:
    """Whether one of the tests fails."""
    for test in found:
        try:
            test()
        except BaseException:
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", default="", choices=["", *PARTS])
    parser.add_argument("--leave-out", default="")
    given = parser.parse_args()
    by_part = {part: found for part, found in tests().items() if part != given.leave_out}
    every = [test for part in by_part.values() for test in part]
    assert not missed(every), "a test fails with all rules in place"
    began, number, left = time.monotonic(), 0, []
    for name, take in (*entries(), *statements()):
        part = name.partition(":")[0]
        if given.part not in ("", part):
            continue
        number += 1
        own = by_part.get(NAMED.get(part, "rules"), [])
        back = take()
        try:
            if not missed([*own, *every]):
                left.append(name)
        finally:
            back()
    assert not missed(every), "a rule was not put back"
    json.dump({"rules": number, "tests": len(every), "left": left, "seconds": round(time.monotonic() - began, 1)}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
