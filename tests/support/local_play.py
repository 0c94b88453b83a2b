# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks, and single tasks of our modules, run by the real ansible-playbook on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.repository import ROOT

ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    "ANSIBLE_LOCALHOST_WARNING": "0",
    # Into a pipe Ansible writes in blocks, and tests wait for single lines.
    "PYTHONUNBUFFERED": "1",
}

#: Variables of a host that is this machine, with one service on the CPU.
HOST: Mapping[str, Any] = {
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
    "ansible_become": False,
    "inference_platform": "cpu",
    "inference_models": {"chat": {"source": "Qwen/Qwen3-8B"}},
    "inference_services": [{"model": "chat", "port": 8070, "memory": "1GiB"}],
}


def playbook(folder: Path, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ansible-playbook did when it was given in this folder. C(name): the playbook's, or its path."""
    return subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", name, *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def command(
    folder: Path, module: str, options: Mapping[str, Any], *arguments: str, register: str = "", then: Sequence[Mapping[str, Any]] = ()
) -> list[str]:
    """The command line that runs it, and further tasks after it, with the playbook in this folder."""
    file = folder / "play.yml"
    task: dict[str, Any] = {"name": "Run it", f"llmops.gpu_inference.{module}": options}
    if register:
        task["register"] = register
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [task, *then]}]
    file.write_text(json.dumps(plays))
    return [sys.executable, "-m", "ansible.cli.playbook", "-i", "localhost,", "-c", "local", *arguments, str(file)]
