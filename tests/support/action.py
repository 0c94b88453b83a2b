# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An action plugin in the process of the test. What it has its module do on the host is answered by the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

PACKAGE = "ansible_collections.llmops.gpu_inference.plugins"
Answer = Callable[[dict[str, Any]], dict[str, Any]]


def no_host(_arguments: dict[str, Any]) -> dict[str, Any]:
    raise AssertionError("nothing of this runs on a host")


def act(plugin: ModuleType, host: Answer = no_host, /, variables: Mapping[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    """The result. Arguments of the task that begin with C(task_) are its keywords, such as C(task_check_mode)."""
    keywords = {name[len("task_") :]: arguments.pop(name) for name in list(arguments) if name.startswith("task_")}
    task = {"args": arguments, "action": plugin.__name__, "check_mode": False, "diff": False, "async_val": 0, "no_log": False, **keywords}

    class Here(plugin.ActionModule):  # type: ignore[name-defined]
        def _execute_module(self, module_args: dict[str, Any] | None = None, **_rest: Any) -> dict[str, Any]:
            return host(dict(arguments if module_args is None else module_args))

        def _remove_tmp_path(self, *_arguments: Any, **_rest: Any) -> None:
            pass

    loader = DataLoader()
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nonexistent"))
    given = dict(variables or {})
    action = Here(SimpleNamespace(**task), connection, None, loader, Templar(loader=loader, variables=given), None)
    found: dict[str, Any] = action.run(task_vars=given)
    return found
