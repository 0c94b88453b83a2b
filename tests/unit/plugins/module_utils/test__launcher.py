# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher as launcher
from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_turn import lock_holder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_program import Differences, compare, install, program
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock
from ansible_collections.llmops.gpu_inference.plugins.module_utils._sd_notify import Notifier


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
    assert lock_holder(lock.path) == "held by other"
    other.kill()
    other.wait()
    other.stdout.close()
    assert lock.try_lock("me")
    lock.release()


def test_node_files_work_side_by_side(tmp_path: Path) -> None:
    """On a node there is no collection: the files lie in one folder, and an old Python may run them."""
    for name, text in program().items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "_launcher.py"), "--help"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "_launcher.py"), "run", "../x"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 2


def test_the_program_is_all_that_the_launcher_imports() -> None:
    texts = program()
    assert {"_launcher.py", "_node.py", "_causes.py", "_causes_vllm.py", "_probe.py"} <= set(texts)
    assert "_plan.py" not in texts
    assert all(text == (Path(launcher.__file__).parent / name).read_text() for name, text in texts.items())


def test_what_differs_is_written_and_what_left_the_program_goes(tmp_path: Path) -> None:
    texts = {"_a.py": "a = 1\n", "_b.py": "b = 1\n"}
    assert compare(tmp_path, texts, 0o644) == Differences(("_a.py", "_b.py"), ())
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    assert compare(tmp_path, texts, 0o644) == Differences((), ())
    (tmp_path / "_b.py").chmod(0o600)
    (tmp_path / "_old.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert compare(tmp_path, texts, 0o644) == Differences(("_b.py",), ("_old.py",))
    (tmp_path / "_a.py").unlink()
    (tmp_path / "_a.py").symlink_to(tmp_path / "_b.py")
    assert "_a.py" in compare(tmp_path, texts, 0o644).write
    assert compare(tmp_path / "none", texts, 0o644).write == ("_a.py", "_b.py")


def test_the_program_is_installed(tmp_path: Path) -> None:
    texts = {"_a.py": "a = 2\n", "_b.py": "b = 2\n"}
    (tmp_path / "_a.py").write_text("a = 1\n")
    (tmp_path / "_old.py").write_text("")
    install(tmp_path, texts, compare(tmp_path, texts, 0o644), 0o644, os.replace)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == texts
    assert compare(tmp_path, texts, 0o644) == Differences((), ())


def test_a_full_disk_leaves_the_program_as_it_was(tmp_path: Path) -> None:
    """The second file does not fit any more."""
    old = {"_a.py": "a = 1\n", "_b.py": "b = 1\n", "_old.py": ""}
    for name, text in old.items():
        (tmp_path / name).write_text(text)
    texts = {"_a.py": "a = 2\n", "_b.py": "b = 2\n" * 1000}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            install(tmp_path, texts, compare(tmp_path, texts, 0o644), 0o644, os.replace)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == old


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_and_may_be_away(tmp_path: Path, abstract: bool) -> None:
    address = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0", 1))
        Notifier(address).send(READY="1", STATUS="of two\nlines")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=of two lines"
    Notifier(address).send(READY="1")
    Notifier("").send(READY="1")
