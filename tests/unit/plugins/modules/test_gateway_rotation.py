# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.module_arguments import patch_module_args
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import place_live, read_live, want_live
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._rotation import Rotation
from ansible_collections.llmops.gpu_inference.plugins.modules import gateway_rotation

Run = Callable[..., dict[str, Any]]
BACKENDS = {f"{name}-{host}": name for name in ("chat", "small") for host in ("a", "b")}


def declare(folder: Path, backends: dict[str, str]) -> bool:
    """As site.yml does; whether that changed something."""
    files = {"live_files": {"rotation.json": Rotation(backends).text}, "secret_live_files": {"keys.json": "k"}}
    found = read_live(folder, want_live({**files, "live_owner": f"{os.getuid()}:{os.getgid()}"}))
    place_live(found)
    return found.differs


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gateway_rotation, "Paths", lambda: Paths(instances=tmp_path))
    return tmp_path / "litellm/gateway"


@pytest.fixture(name="run")
def _run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    declare(folder, BACKENDS)

    def run_module(check_mode: bool = False, **options: Any) -> dict[str, Any]:
        with patch_module_args({"_ansible_check_mode": check_mode, **options}), pytest.raises(SystemExit):
            gateway_rotation.main()
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run_module


def out_in(folder: Path) -> list[str]:
    return sorted(json.loads((folder / "live/rotation.json").read_text())["out"])


def test_out_and_in_once_each(run: Run, folder: Path) -> None:
    forecast = run(backends=["chat-a"], state="out", by="alice", reason="fan", check_mode=True)
    assert (forecast["changed"], forecast["out"][0]["by"], out_in(folder)) == (True, "alice", [])
    done = run(backends=["chat-a"], state="out", by="alice", reason="fan")
    assert (done["changed"], out_in(folder)) == (True, ["chat-a"])
    assert done["out"] == [{"backend": "chat-a", "model": "chat", "by": "alice", "at": done["out"][0]["at"], "reason": "fan"}]
    assert '"chat-a": {' in done["diff"]["after"]
    assert done["diff"]["before"] == Rotation(BACKENDS).text
    assert not run(backends=["chat-a"], state="out", by="bob")["changed"]
    assert run(backends=["chat-a"], state="in", check_mode=True)["changed"]
    assert run(backends=["chat-a"], state="in")["out"] == []
    assert not run(backends=["chat-a"], state="in")["changed"]
    file = folder / "live/rotation.json"
    assert (stat.S_IMODE(file.stat().st_mode), file.read_text()) == (0o644, Rotation(BACKENDS).text)


def test_for_a_time(run: Run, folder: Path) -> None:
    out = run(backends=["chat-a"], state="out", by="rollout", seconds=600)["out"]
    assert out[0]["until"] > out[0]["at"]
    assert run(backends=["chat-a"], state="out", by="rollout", seconds=1200)["out"][0]["until"] > out[0]["until"]
    assert not run(backends=["chat-a"], state="out", by="rollout", seconds=60)["changed"]
    file = folder / "live/rotation.json"
    over = Rotation(BACKENDS).take_out(["chat-a"], {"by": "rollout", "until": "2026-11-01T03:00:00Z"})
    file.write_text(over.text)
    assert not declare(folder, BACKENDS)
    # It counts as being in rotation, so the other one may go.
    assert [entry["backend"] for entry in run(backends=["chat-b"], state="out", by="alice")["out"]] == ["chat-b"]


def test_it_stays_out_when_the_gateway_is_declared_again_and_goes_with_its_backend(run: Run, folder: Path) -> None:
    run(backends=["chat-a", "small-a"], state="out")
    assert not declare(folder, BACKENDS)
    assert out_in(folder) == ["chat-a", "small-a"]
    assert declare(folder, {"chat-a": "chat", "chat-b": "chat"})
    assert out_in(folder) == ["chat-a"]
    (folder / "live/rotation.json").write_text("{")
    assert "Run site.yml" in run(backends=["chat-a"], state="in")["msg"]
    assert declare(folder, BACKENDS)
    assert out_in(folder) == []


def test_refusals(run: Run, folder: Path) -> None:
    run(backends=["chat-a"], state="out")
    assert run(backends=["chat-b"], state="out")["msg"] == (
        "without chat-b nothing in rotation serves chat any more: clients would get 503"
    )
    assert out_in(folder) == ["chat-a"]
    assert run(backends=["chat-b"], state="out", last=True)["changed"]
    assert "has no backend big" in run(backends=["big"], state="in")["msg"]
    (folder / "live/rotation.json").unlink()
    assert "no gateway runs here, or one of an earlier release" in run(backends=["chat-a"], state="out")["msg"]


def test_what_a_killed_run_has_left_is_no_obstacle(run: Run, folder: Path) -> None:
    (folder / "live/.rotation.json.new").write_text("half")
    assert run(backends=["chat-a"], state="out")["changed"]
    assert sorted(path.name for path in (folder / "live").iterdir()) == ["keys.json", "rotation.json"]


ONE = """
import sys
from pathlib import Path
from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import change_rotation
for _time in range(40):
    change_rotation(Path(sys.argv[1]), lambda found: found.put_back(sys.argv[2:]))
    change_rotation(Path(sys.argv[1]), lambda found: found.take_out(sys.argv[2:], {}, last=True))
"""


def test_two_at_once_lose_nothing(folder: Path) -> None:
    backends = {f"m-{number}": "m" for number in range(8)}
    declare(folder, backends)
    argv = [sys.executable, "-c", ONE, str(folder / "live")]
    running = [subprocess.Popen([*argv, name], env={**os.environ, "PYTHONPATH": str(ROOT / "collections")}) for name in backends]
    while any(one.poll() is None for one in running):
        declare(folder, backends)
    assert [one.returncode for one in running] == [0] * len(running)
    assert out_in(folder) == sorted(backends)
