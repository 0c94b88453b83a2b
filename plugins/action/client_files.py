# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of client_files: what is written holds keys, which no host's log gets."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.system_log import unlogged


class ActionModule(ActionBase):
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=unlogged(task_vars), wrap_async=bool(self._task.async_val)))
        return result
