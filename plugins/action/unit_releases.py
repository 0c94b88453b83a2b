# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of unit_releases: it reads recordings, and tells the terminal what the silence is for."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.module_utils._duration import duration
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import say
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.system_log import unlogged
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.recordings import RecordingError, with_recordings


class ActionModule(ActionBase):
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            if "proof" in arguments and not self._task.check_mode:
                arguments["proof"] = with_recordings(arguments["proof"])
        except RecordingError as error:
            raise AnsibleActionFail(str(error)) from error
        units, host = self._task.args.get("units"), (task_vars or {}).get("inventory_hostname")
        if isinstance(units, list) and not self._task.check_mode:
            say(f"{host}: proves {', '.join(map(str, units))}{self._probation()}")
        result.update(
            self._execute_module(
                module_name="llmops.gpu_inference.unit_releases",
                module_args=arguments,
                task_vars=unlogged(task_vars),
                wrap_async=bool(self._task.async_val),
            )
        )
        return result

    def _probation(self) -> str:
        try:
            seconds = float(self._task.args.get("probation") or 0)
        except (TypeError, ValueError):
            return ""  # the module says what is wrong with it
        return f"; what replaced another engine is on probation for {duration(seconds)}" if seconds > 0 else ""
