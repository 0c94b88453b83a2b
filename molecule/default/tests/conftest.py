# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scenario's tests have in common: the node's address, and playbooks against the node."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])

Play = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def address(host: Any) -> str:
    # The address of the way out: `hostname -I` may name one of the node's own Docker bridges first.
    return str(host.check_output("ip -4 -o route get 192.0.2.1").split(" src ")[1].split()[0])


@pytest.fixture(scope="session")
def play() -> Play:
    """Runs a playbook, with further arguments, and returns its exit status and output."""

    def run(playbook: str, *arguments: str) -> tuple[int, str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        ran = subprocess.run(
            [program, "--inventory", os.environ["MOLECULE_INVENTORY_FILE"], str(PROJECT / playbook), *arguments],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "collections"),
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_NOCOLOR": "true",
                "ANSIBLE_FORCE_COLOR": "false",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    return run
