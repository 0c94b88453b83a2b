# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Values as plain Python: what a filter gets are subclasses (unsafe text, since ansible-core 2.19 tagged values), which PyYAML refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The same value from exact dicts, lists, strings and numbers."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)  # str(value) of an unsafe text is unsafe again (ansible-core 2.17)
    for exact in (bool, int, float):
        if isinstance(value, exact):
            return exact(value)
    return value


def yaml_text(value: Any) -> str:
    """A YAML document with keys in their given order, indented lists and no folded lines."""
    # In single quotes PyYAML writes NEL as it is, and reads a blank.
    return _dumped(value, "\x85")


def yaml_line(value: Any) -> str:
    """The same as one line, which may stand behind a key."""
    return _dumped(value, "\x85\r\n\u2028\u2029", default_flow_style=True).removesuffix("...\n").rstrip("\n")


def _dumped(value: Any, escaped: str, **options: Any) -> str:
    import yaml  # here, because everything else works without PyYAML too

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, False)

        def represent_str(self, data: str) -> Any:
            style = '"' if set(escaped).intersection(data) else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, Dumper.represent_str)

    return str(yaml.dump(plain(value), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000, **options))
