# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of container_units: it tells the host who is at work, and the terminal who is waited for and what is done."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import time
import typing as t

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import say
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.system_log import unlogged
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.actions import lines
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.recordings import RecordingError, with_recordings

_MODULE = "llmops.gpu_inference.container_units"
#: Seconds that the module itself waits for another run; endpoint_ready looks at the lock and so holds it for a moment.
_PATIENCE = 1.0
_PAUSE = 2.0


def this_run(process: int) -> str:
    """For others who run into it. Options are left out: extra variables may be secret."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = f"user {os.getuid()}"
    words = [os.path.basename(sys.argv[0]), *(os.path.basename(word) for word in context.CLIARGS.get("args") or ())]
    return f"{' '.join(words)} of {user} on {socket.gethostname()} (process {process} there)"


class ActionModule(ActionBase):
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)

        parent = os.getppid()
        by = this_run(parent)
        given = dict(self._task.args)
        if "proof" in given and not self._task.check_mode:  # which asks nothing
            try:
                given["proof"] = with_recordings(given["proof"])
            except RecordingError as error:
                raise AnsibleActionFail(str(error)) from error

        def call(**run: t.Any) -> dict[str, t.Any]:
            arguments = {**given, "_run": {"by": by, **run}}
            done = dict(
                self._execute_module(
                    module_name=_MODULE, module_args=arguments, task_vars=unlogged(task_vars), wrap_async=bool(self._task.async_val)
                )
            )
            done.get("invocation", {}).get("module_args", {}).pop("_run", None)
            return done

        if self._task.async_val:
            result.update(call())
            return result
        # The waiting is done here, and ends with ansible-playbook: of a run that is killed meanwhile nothing may go to work later,
        # neither a module on the node nor this process, which is in a session of its own.
        try:
            deadline = time.monotonic() + float(self._task.args.get("lock_timeout", 600))
        except (TypeError, ValueError):
            deadline = 0.0  # the module says what is wrong with it
        done = call(patience=_PATIENCE)
        if "held_by" in done:
            say(f"{(task_vars or {}).get('inventory_hostname')}: waits for {done['held_by']}")
        while "held_by" in done and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            if os.getppid() != parent:
                break
            done = call(patience=_PATIENCE)
        for line in lines(str((task_vars or {}).get("inventory_hostname")), done.get("units") or {}, check_mode=self._task.check_mode):
            say(line)
        result.update(done)
        return result
