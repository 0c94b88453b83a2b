# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a folder, or a node of the test bed, look like one of the recorded platforms.

python3 tests/testbed/toolkit/dress.py rtx5090 NODE
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE / "recordings"


def names() -> list[str]:
    return sorted(path.stem for path in RECORDINGS.glob("*.json"))


def recording(name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8")))


def dress(root: Path, name: str) -> None:
    """What a node of this platform has on its disk: nvidia-smi and the files that tell a Jetson or a DGX."""
    recorded = recording(name)
    for path, text in recorded.get("files", {}).items():
        _write(root / path, text)
    if recorded["answers"] is not None:
        folder = root / recorded.get("smi", "usr/bin")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "nvidia-smi", folder / "nvidia-smi")
        _write(folder.parent / "share/nvidia-smi-player/answers.json", json.dumps(recorded["answers"]))
        if not recorded["answers"].get("rc"):
            # A node has the kernel of the machine that it runs on; NVIDIA's unit looks whether the driver was built for it.
            _write(root / "usr/lib/modules" / os.uname().release / "modules.dep", "updates/dkms/nvidia.ko.zst:\n")


def dress_kernel(root: Path, name: str) -> None:
    """What the kernel of this platform shows, which only a folder can play."""
    recorded = recording(name)
    _write(root / "proc/sys/kernel/osrelease", recorded["kernel"] + "\n")
    _write(root / "proc/version", recorded.get("proc_version", f"Linux version {recorded['kernel']}\n"))
    _write(root / "proc/meminfo", recorded["meminfo"])
    _write(root / "etc/os-release", recorded["os_release"])
    if "compatible" in recorded:
        _write(root / "proc/device-tree/compatible", "\0".join([*recorded["compatible"], ""]))
        _write(root / "proc/device-tree/model", recorded["model"] + "\0")
    if "proc_driver_version" in recorded:
        _write(root / "proc/driver/nvidia/version", recorded["proc_driver_version"])
    for address, kind, driver in recorded["pci"]:
        device = root / "sys/bus/pci/devices" / address
        _write(device / "vendor", "0x10de\n")
        _write(device / "class", kind + "\n")
        if driver:
            (device / "driver").symlink_to(f"../../drivers/{driver}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("platform", choices=names())
    parser.add_argument("node", help="name of a running node")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dress(Path(folder), arguments.platform)
        archive = subprocess.run(
            ["tar", "--create", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "--directory", folder, "."],
            check=True,
            stdout=subprocess.PIPE,
        )
        subprocess.run(
            ["docker", "exec", "--interactive", arguments.node, "tar", "--extract", "--no-overwrite-dir", "--directory", "/"],
            input=archive.stdout,
            check=True,
        )
    print(f"{arguments.node} looks like {arguments.platform}: {recording(arguments.platform)['about']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
