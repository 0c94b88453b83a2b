# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of endpoint_ready: progress lines while the module waits on the node."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_options import argument_spec
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import is_read, say
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.system_log import unlogged
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.endpoint_progress import Progress, in_slices

# Task workers have no terminal of their own since ansible-core 2.19, but this file is loaded before they are forked.
try:
    _ON_TERMINAL = os.isatty(1)
except OSError:
    _ON_TERMINAL = False

_MODULE = "llmops.gpu_inference.endpoint_ready"


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=argument_spec())

        def call(module_args: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
            return dict(self._execute_module(module_name=_MODULE, module_args=dict(module_args), task_vars=unlogged(task_vars)))

        if not (is_read() and arguments["progress"]) or self._task.check_mode or self._task.async_val or self._task.no_log:
            result.update(call(arguments))
            return result
        host = (task_vars or {}).get("inventory_hostname")
        progress = Progress(host, say, log=not _ON_TERMINAL)
        result.update(in_slices(arguments, call, progress))
        return result
