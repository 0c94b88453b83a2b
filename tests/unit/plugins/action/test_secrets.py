# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action with real Ansible: what is wrong with all keys in one message, and none of them in it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import local_play

pytestmark = pytest.mark.slow
KEY = "a-key-that-nobody-sees"
OTHER = "another-key-that-nobody-sees"


def run(folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    argv = local_play.command(folder, "secrets", {"directory": str(folder / "keys"), **options}, "-vvv", "--diff")
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=local_play.ENVIRONMENT)


def test_keys_are_generated_once_and_never_shown(tmp_path: Path) -> None:
    given = {"engine_hosts": ["gpu1"], "client_keys": {"alice": None, "bob": KEY}}
    first = run(tmp_path, **given)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=1" in first.stdout
    kept = [path.read_text(encoding="utf-8").strip() for path in (tmp_path / "keys").rglob("*") if path.is_file() and path.name[0] != "."]
    assert len(kept) == 3  # the master key, that of gpu1, and that of alice; what is given is not kept
    again = run(tmp_path, **given)
    assert "changed=0" in again.stdout
    assert not [key for key in [*kept, KEY] if key in first.stdout + first.stderr + again.stdout + again.stderr]


def test_all_that_is_wrong_in_one_message(tmp_path: Path) -> None:
    """Before any host is touched: the role of the gateway would tell after the engines had changed."""
    clients = {"alice": KEY, "bob": OTHER, "carol": OTHER, "dave": "short"}
    done = run(tmp_path, engine_hosts=["gpu1"], engine_keys={"gpu1": "changeme"}, master_key=KEY, client_keys=clients)
    assert done.returncode != 0
    words = " ".join(done.stdout.split())
    for text in (
        "inference_gateway.client_keys.alice: is the master key, which no client may hold",
        "inference_gateway.client_keys.carol: is also the key of bob",
        "inference_gateway.client_keys.dave: has 5 characters",
        "inference_engine_key of gpu1: is the example key",
    ):
        assert text in words, done.stdout
    assert KEY not in done.stdout + done.stderr
    assert OTHER not in done.stdout + done.stderr
