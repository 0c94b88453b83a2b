# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher as launcher
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock


def test_lock_is_exclusive_between_processes_and_freed_by_death(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock\n"
        f"lock = FileLock(Path({str(tmp_path)!r}) / 'gpu.lock')\n"
        "assert lock.try_lock('other')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)})
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    lock = FileLock(tmp_path / "gpu.lock")
    assert not lock.try_lock("me")
    assert launcher.lock_holder(lock.path) == "held by other"
    other.kill()
    other.wait()
    other.stdout.close()
    assert lock.try_lock("me")
    lock.release()


def test_node_files_work_side_by_side(tmp_path: Path) -> None:
    """On a node there is no collection: the files lie in one folder, and an old Python may run them."""
    source = Path(launcher.__file__).parent
    tasks = yaml.safe_load((ROOT / "roles/launcher/tasks/install.yml").read_text())
    names = next(task["loop"] for task in tasks if task["name"] == "Install | Install the program")
    for name in names:
        (tmp_path / name).write_bytes((source / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "_launcher.py"), "--help"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "_launcher.py"), "run", "../x"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 2
