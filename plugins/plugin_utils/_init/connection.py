# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How a host was reached, as variables of the inventory: of its own variables and of the command line. Passwords are never among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Variable -> the option of ansible-playbook that says the same, by its name among the parsed arguments, where there is one.
VARIABLES: Mapping[str, str | None] = {
    "ansible_host": None,
    "ansible_port": None,
    "ansible_connection": "connection",
    "ansible_user": "remote_user",
    "ansible_ssh_private_key_file": "private_key_file",
    "ansible_ssh_common_args": "ssh_common_args",
    "ansible_python_interpreter": None,
    "ansible_become_method": "become_method",
}
#: What is so without being said.
_DEFAULTS = {"ansible_connection": ("ssh", "smart"), "ansible_become_method": ("sudo",)}
#: sshpass with its password, for instance.
_SECRET = re.compile(r"pass(?!_file)", re.I)


def connection_of(name: str, variables: Mapping[str, Any], command_line: Mapping[str, Any]) -> dict[str, Any]:
    """The host's variables win over the command line, as in Ansible."""
    found: dict[str, Any] = {}
    for variable, option in VARIABLES.items():
        value = variables.get(variable) or (command_line.get(option) if option else None)
        if value in (None, "", *_DEFAULTS.get(variable, ())) or _SECRET.search(str(value)):
            continue
        if variable == "ansible_host" and value == name:
            continue
        if variable == "ansible_python_interpreter" and value == variables.get("ansible_playbook_python"):
            continue  # of the machine itself, which needs no mention in an inventory
        found[variable] = value if isinstance(value, int) else str(value)
    return found


def without_warning(interpreter: str) -> str:
    """Ansible's setting C(INTERPRETER_PYTHON), so that it says nothing of a Python that it has found by itself."""
    return f"{interpreter}_silent" if interpreter in ("auto", "auto_legacy") else interpreter


def is_local(name: str, connection: Mapping[str, Any]) -> bool:
    """Whether the name, or where it leads to, means the machine itself."""
    address = str(connection.get("ansible_host", name))
    return connection.get("ansible_connection") == "local" or address == "localhost" or address.startswith("127.") or address == "::1"
