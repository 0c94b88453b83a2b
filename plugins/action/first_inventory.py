# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _files
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.connection import connection_of, is_local, without_warning
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.inventory import FirstInventory, InitError, Seen, first_inventory
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.inventory import GROUPS, plain
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._screen.say import say

_COLLECTION = Path(__file__).resolve().parents[2]


class ActionModule(ActionBase):
    """Writes an inventory on the controller from what module gpu_facts said of the hosts."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables: Mapping[str, Any] = task_vars or {}
        _result, arguments = self.validate_argument_spec(
            argument_spec={
                "dest": {"type": "path", "required": True},
                "overwrite": {"type": "bool", "default": False},
                "only_check": {"type": "bool", "default": False},
                "facts": {"type": "dict", "default": {}},
            }
        )
        dest = Path(arguments["dest"])
        in_the_way = self._in_the_way(dest, arguments["overwrite"], variables)
        if in_the_way:
            raise AnsibleActionFail(" ".join(in_the_way))
        if arguments["only_check"]:
            return {"changed": False, "python": without_warning(str(constants.config.get_config_value("INTERPRETER_PYTHON")))}
        try:
            made = first_inventory(
                [self._seen(str(name), answer, variables) for name, answer in arguments["facts"].items()],
                schema=_schema(dest),
                file=shlex.quote(str(dest)),
            )
        except InitError as error:
            raise AnsibleActionFail(
                f"{dest} was not written, because of {'one of the hosts' if len(error.problems) == 1 else 'these hosts'}:\n{error}\n"
                "Correct this, or leave the host out of -i."
            ) from None
        before = dest.read_text(encoding="utf-8") if dest.exists() else ""
        if not self._task.check_mode:
            _write(dest, made.text)
        lines = _last_words(dest, made, self._task.check_mode)
        say("\n".join(lines))
        result: dict[str, Any] = {"changed": before != made.text, "dest": str(dest), "inventory": made.data, "lines": lines}
        if self._task.diff:
            result["diff"] = {"before": before, "after": made.text, "before_header": str(dest), "after_header": str(dest)}
        if made.warnings:
            result["warnings"] = list(made.warnings)
        return result

    def _in_the_way(self, dest: Path, overwrite: bool, variables: Mapping[str, Any]) -> list[str]:
        found = []
        if dest.exists() and not overwrite:
            found.append(
                f"{dest} is there already and stays. Name another file with -e inventory_out=FILE, or replace it with "
                "-e inventory_overwrite=true."
            )
        try:
            _files.real_file(str(dest))
        except _files.UnusableFileError as error:
            found.append(str(error))
        groups = variables.get("groups") or {}
        named = list(context.CLIARGS.get("inventory") or ())
        # Without -i it is what Ansible is configured to look at, which may be nothing.
        if named != list(constants.DEFAULT_HOST_LIST) and not groups.get("all"):
            # Ansible goes on with the machine itself, which nobody asked for.
            found.append(f"No host is named by -i {' -i '.join(named)}. One machine has a comma behind it: -i box1,")
        ready = [group for group in GROUPS if groups.get(group)]
        if ready:
            found.append(
                f"The inventory of this run has the group {ready[0]} already, so it is not a plain list of machines. Name them with "
                "-i box1,box2 (one machine with a comma behind it), or this machine with -i localhost, -c local."
            )
        return found

    def _seen(self, name: str, answer: Any, variables: Mapping[str, Any]) -> Seen:
        host = variables["hostvars"][name]
        own = {key: plain(host[key]) for key in host if str(key).startswith("ansible_") and isinstance(host[key], (str, int))}
        connection = connection_of(name, own, context.CLIARGS)
        result = plain(answer) if isinstance(answer, Mapping) else {}
        facts = (result.get("ansible_facts") or {}).get("gpu_inference") or {}
        return Seen(name, facts, connection, is_local(name, connection), str(result.get("msg") or ""))


def _schema(dest: Path) -> str:
    """In a checkout a relative path, as in the examples, since the file may be kept beside it; else where the collection is installed."""
    schema, folder = _COLLECTION / "schemas" / "inventory.json", dest.resolve().parent
    return os.path.relpath(schema, folder) if folder.is_relative_to(_COLLECTION) else str(schema)


def _write(dest: Path, text: str) -> None:
    """All of it or nothing, so that a full disk leaves no half inventory. Where it is a link, the file that it leads to."""
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        _files.replace(_files.real_file(str(dest)), text.encode())
    except OSError as error:
        raise AnsibleActionFail(f"{dest} cannot be written: {error.strerror}") from None


def _last_words(dest: Path, made: FirstInventory, check_mode: bool) -> list[str]:
    asked = "".join(f" {flag}" for flag, option in (("-k", "ask_pass"), ("-K", "become_ask_pass")) if context.CLIARGS.get(option))
    command, file = "ansible-playbook llmops.gpu_inference.", shlex.quote(str(dest))
    return [
        "",
        f"{dest} {'would be' if check_mode else 'was'} written:",
        *(f"  {line}" for line in made.summary),
        "",
        "Next" + ("" if "-K" in asked else ", with -K where sudo asks for a password") + ":",
        f"  {command}plan -i {file}{asked}    # what would run, and whether it fits; changes nothing",
        f"  {command}site -i {file}{asked}    # do it",
    ]
