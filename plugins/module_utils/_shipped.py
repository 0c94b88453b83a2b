# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Files of ours that run elsewhere: the launcher's program on a node, and whatever asks from inside a container."""

from __future__ import annotations

import ast
import importlib

_PACKAGE = __name__.rsplit(".", 1)[0]
#: Runs C(run) of the last file. All comes by standard input: neither keys nor samples appear in a process list or in C(docker inspect).
BOOTSTRAP = """
import json, sys, types
data = json.load(sys.stdin)
for name, source in data["sources"]:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, name + ".py", "exec"), module.__dict__)
json.dump(module.run(data["request"]), sys.stdout)
"""


def source_of(name: str) -> str:
    """Also of a file in the archive that Ansible makes of a module."""
    loader = getattr(importlib.import_module(f"{_PACKAGE}.{name}").__spec__, "loader", None)
    text = loader.get_source(f"{_PACKAGE}.{name}") if loader is not None and hasattr(loader, "get_source") else None
    if not text:
        raise OSError(f"the source of {name} cannot be read")
    return str(text)


def imported(source: str) -> set[str]:
    """Names of our files that a source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGE + "."):
            names.add(node.module[len(_PACKAGE) + 1 :])
    return names


def sources(name: str, known: dict[str, str] | None = None) -> dict[str, str]:
    """The text of a file by its name, after all of ours that it imports."""
    found = {} if known is None else known
    if name not in found:
        found[name] = ""
        text = source_of(name)
        for other in sorted(imported(text)):
            sources(other, found)
        del found[name]
        found[name] = text
    return found
