# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a module writes its arguments into the system log of its host, read from what Ansible sends there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import local_play

pytestmark = pytest.mark.slow
KEY = "key-0123456789-engine"
UNIT = {"kind": "litellm", "name": "gateway", "image": "x:1", "secret_live_files": {"keys.json": f'{{\n"key": "{KEY}"\n}}\n'}}
ENDPOINT = {"name": "gateway", "base_url": "http://127.0.0.1:1/v1", "level": "health", "api_key": f"{KEY}\\", "required": False}


def is_logged(folder: Path, module: str, options: dict[str, Any], *arguments: str) -> bool:
    sent, interpreter = folder / "sent", folder / "python"
    interpreter.write_text(f'#!/bin/sh\nexec tee -a "{sent}" | exec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o700)
    environment = {**local_play.ENVIRONMENT, "ANSIBLE_PYTHON_INTERPRETER": str(interpreter), "ANSIBLE_PIPELINING": "1"}
    argv = local_play.command(folder, module, options, *arguments)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    told = set(re.findall(r"_ansible_no_log\W+(true|false)", sent.read_text()))
    assert len(told) == 1
    return told == {"false"}


def test_others_are_logged(tmp_path: Path) -> None:
    assert is_logged(tmp_path, "docker_engine_info", {})


def test_no_key_of_a_unit_is_in_the_log(tmp_path: Path) -> None:
    folders = {name: str(tmp_path / name) for name in ("state_dir", "runtime_dir", "units_dir")}
    options = {"kinds": ["litellm"], "instances": [UNIT], "docker": "true", "systemctl": "true", **folders}
    assert not is_logged(tmp_path, "container_units", options, "--check")


def test_no_recording_is_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    proof = {"answers": {"speech": [{"audio": str(tmp_path / "a.wav"), "says": "x"}]}}
    assert not is_logged(tmp_path, "unit_releases", {"units": [], "proof": proof})


def test_no_key_of_a_client_is_in_the_log(tmp_path: Path) -> None:
    files = [{"path": str(tmp_path / "client.env"), "content": f"URL=x\nKEY={KEY}\n"}]
    assert not is_logged(tmp_path, "client_files", {"files": files, "manifest": str(tmp_path / "manifest.json")})


def test_no_key_of_an_endpoint_is_in_the_log(tmp_path: Path) -> None:
    assert not is_logged(tmp_path, "endpoint_ready", {"endpoints": [ENDPOINT], "timeout": 1})
