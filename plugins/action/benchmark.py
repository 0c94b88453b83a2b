# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of benchmark: one call of the module for each step, and a line about it."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.progress import begun, ended
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.targets import GENERATORS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import say
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.system_log import unlogged

_MODULE = "llmops.gpu_inference.benchmark"
#: What the module takes of a target.
_KEYS = (
    "name",
    "watch",
    "under_load",
    "image",
    "pull",
    "entrypoint",
    "network",
    "environment",
    "key_variable",
    "figures",
    "timeout",
)


class ActionModule(ActionBase):
    _supports_check_mode = False
    _VALID_ARGS = frozenset({"target", "api_key", "watch_key", "ca"})

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        given = dict(self._task.args)
        target = given.pop("target", None)
        if not isinstance(target, t.Mapping):
            return {**result, "failed": True, "msg": "target: a mapping is wanted"}
        common = {key: target[key] for key in _KEYS if key in target}
        if target.get("generator") in GENERATORS:
            common["files"] = dict(GENERATORS[target["generator"]].files())
        host = str((task_vars or {}).get("inventory_hostname"))

        def call(steps: list[t.Any]) -> dict[str, t.Any]:
            arguments = {**given, "target": {**common, "steps": steps}}
            done = dict(self._execute_module(module_name=_MODULE, module_args=arguments, task_vars=unlogged(task_vars)))
            done.pop("invocation", None)  # long, and nothing that the result does not say
            return done

        steps = list(target.get("steps") or ())
        if not steps:
            return {**result, **call([])}
        measured: list[t.Any] = []
        for number, step in enumerate(steps):
            say(f"{host}: {begun(target, step)}")
            done = call([step])
            if done.get("failed"):
                return {**result, **done}
            measured += done["steps"]
            say(f"{host}: {ended(target, step, done)}")
            result.update({**done, "started": done["started"] if number == 0 else result["started"], "steps": measured})
            if not done["steps"]:
                break
        return result
