# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a signed apt repository with stand-ins for the packages of the NVIDIA Container Toolkit, laid out like NVIDIA's.

    python3 tests/testbed/toolkit/repository.py FOLDER [--node NODE]

FOLDER gets `stable/deb/amd64` with the packages, `gpgkey` (the signing key), `wrong.asc` (another key), and `fingerprint`.
With --node the same lies on that node in /srv/toolkit-repository.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSIONS = ("1.17.8-1", "1.20.1-1", "1.20.5-0lambda1", "1.21.0-1")
ON_NODE = "/srv/toolkit-repository"

# The conditions and the command of NVIDIA's own unit (nvidia-container-toolkit 1.20, deployments/systemd).
REFRESH_SERVICE = """\
[Unit]
Description=Refresh NVIDIA CDI specification file (simulated)
ConditionPathExists=|/usr/bin/nvidia-smi
ConditionPathExists=|/usr/sbin/nvidia-smi
ConditionPathExists=|/usr/lib/wsl/lib/nvidia-smi
ConditionPathExists=/usr/bin/nvidia-ctk

[Service]
Type=oneshot
Environment=NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/nvidia.yaml
EnvironmentFile=-/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env
ExecCondition=/bin/sh -c '/usr/bin/grep -qE "/(nvidia|nvidia-current)[.]ko" /lib/modules/%v/modules.dep || [ -e /dev/dxg ]'
ExecStart=/usr/bin/nvidia-ctk cdi generate

[Install]
WantedBy=multi-user.target
"""
REFRESH_PATH = """\
[Unit]
Description=Refresh the CDI specification when the driver changes (simulated)

[Path]
PathChanged=/usr/bin/nvidia-ctk

[Install]
WantedBy=multi-user.target
"""


def packages(version: str) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Name -> dependencies and files. Only since 1.18 do the packages themselves insist on one version for all four."""
    exact = f"(= {version})" if version >= "1.18" else "(>= 1.10)"
    upstream = version.split("-")[0]
    runtime = (HERE / "packages/nvidia-container-runtime").read_text(encoding="utf-8")
    ctk = (HERE / "packages/nvidia-ctk").read_text(encoding="utf-8").replace("@VERSION@", upstream)
    return {
        "libnvidia-container1": ("", {"usr/share/doc/libnvidia-container1/stand-in": version + "\n"}),
        "libnvidia-container-tools": (f"libnvidia-container1 {exact}", {"usr/bin/nvidia-container-cli": "#!/bin/sh\nexit 0\n"}),
        "nvidia-container-toolkit-base": (
            "python3",
            {
                "usr/bin/nvidia-ctk": ctk,
                "usr/bin/nvidia-container-runtime": runtime,
                "usr/lib/systemd/system/nvidia-cdi-refresh.service": REFRESH_SERVICE,
                "usr/lib/systemd/system/nvidia-cdi-refresh.path": REFRESH_PATH,
            },
        ),
        "nvidia-container-toolkit": (
            f"nvidia-container-toolkit-base {exact}, libnvidia-container-tools {exact}",
            {"usr/bin/nvidia-container-runtime-hook": "#!/bin/sh\nexit 0\n"},
        ),
    }


def build_package(folder: Path, name: str, version: str, depends: str, files: Mapping[str, str]) -> Path:
    with tempfile.TemporaryDirectory() as name_of_root:
        root = Path(name_of_root)
        root.chmod(0o755)
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o755 if path.startswith("usr/bin") else 0o644)
        control = {
            "Package": name,
            "Version": version,
            "Architecture": "amd64",
            "Maintainer": "llmops.gpu_inference contributors <noreply@example.org>",
            **({"Depends": depends} if depends else {}),
            "Description": "stand-in for tests without a GPU",
        }
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()), encoding="utf-8")
        target = folder / f"{name}_{version}_amd64.deb"
        _run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target)])
    return target


def write_index(folder: Path, debs: Sequence[Path]) -> None:
    entries = []
    for deb in debs:
        control = _run(["dpkg-deb", "--field", str(deb)])
        data = deb.read_bytes()
        entries.append(f"{control}Filename: ./{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n")
    index = "\n".join(entries).encode()
    (folder / "Packages").write_bytes(index)
    release = (
        "Origin: https://nvidia.github.io/libnvidia-container/stable\nLabel: NVIDIA CORPORATION <cudatools@nvidia.com>\n"
        "Suite: stable\nDate: Fri, 20 Nov 2026 08:00:00 UTC\nArchitectures: amd64\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )
    (folder / "Release").write_text(release, encoding="utf-8")


class Keys:
    """Two signing keys: the repository's, and another that must be refused."""

    def __init__(self, home: Path) -> None:
        self._gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty"]
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self, name: str) -> str:
        address = f"{name}@example.org"
        if subprocess.run([*self._gpg, "--list-keys", address], capture_output=True, check=False).returncode:
            _run([*self._gpg, "--passphrase", "", "--quick-generate-key", f"{name} <{address}>", "ed25519", "sign", "never"])
        listing = _run([*self._gpg, "--with-colons", "--list-keys", address])
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))

    def export(self, fingerprint: str) -> str:
        return _run([*self._gpg, "--armor", "--export", fingerprint])

    def sign(self, fingerprint: str, release: Path) -> None:
        target = release.with_name("InRelease")
        target.unlink(missing_ok=True)
        _run([*self._gpg, "--passphrase", "", "--local-user", fingerprint, "--clearsign", "--output", str(target), str(release)])

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self._gpg[2], "--kill", "gpg-agent"], capture_output=True, check=False)


def build(folder: Path) -> str:
    """Build everything afresh but the keys; returns the fingerprint of the signing key."""
    for program in ("dpkg-deb", "gpg"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing. Install it: apt-get install dpkg gnupg")
    repository = folder / "stable/deb/amd64"
    shutil.rmtree(folder / "stable", ignore_errors=True)
    repository.mkdir(parents=True)
    debs = [
        build_package(repository, name, version, depends, files)
        for version in VERSIONS
        for name, (depends, files) in packages(version).items()
    ]
    write_index(repository, debs)
    keys = Keys(folder / "keys")
    try:
        right, wrong = keys.make("repository"), keys.make("stranger")
        keys.sign(right, repository / "Release")
        (folder / "gpgkey").write_text(keys.export(right), encoding="utf-8")
        (folder / "wrong.asc").write_text(keys.export(wrong), encoding="utf-8")
        (folder / "fingerprint").write_text(right + "\n", encoding="utf-8")
    finally:
        keys.close()
    return right


def copy_to_node(folder: Path, node: str) -> None:
    archive = subprocess.run(
        [
            "tar",
            "--create",
            "--owner=0",
            "--group=0",
            "--mode=u=rwX,go=rX",
            "--directory",
            str(folder),
            "stable",
            "gpgkey",
            "wrong.asc",
            "fingerprint",
        ],
        check=True,
        stdout=subprocess.PIPE,
    )
    _run(["docker", "exec", node, "mkdir", "-p", ON_NODE])
    subprocess.run(["docker", "exec", "--interactive", node, "tar", "--extract", "--directory", ON_NODE], input=archive.stdout, check=True)


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(list(command), capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--node", action="append", default=[], help="copy it to this node as well")
    arguments = parser.parse_args()
    fingerprint = build(arguments.folder.resolve())
    for node in arguments.node:
        copy_to_node(arguments.folder.resolve(), node)
    print(f"{arguments.folder}: {len(VERSIONS)} versions, signed by {fingerprint}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
