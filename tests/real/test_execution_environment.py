# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image for ansible-navigator and AWX: what `ansible-builder create` makes of our definition, built step by step.

The base is the test bed's node image, which is Debian: its Python comes without pip, so that one step of ansible-builder is left out and
done in another way. Collections come as archives, not from Galaxy, and Python's packages through pip as it is configured on this machine;
no step has a network. All other steps are those of the definition that users take.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible
import pytest
import yaml
from support.repository import ROOT
from testbed import images, settings

DEFINITION = ROOT / "execution-environment.yml"
TAG = f"gpu-inference-execution-environment:test-{os.getpid()}"
#: Of every stage, so that all of it goes again.
LABEL = f"{settings.LABEL}.execution-environment={os.getpid()}"
#: Of Debian's Python nothing can be asked of ensurepip; a wheel of pip installs itself.
LEFT_OUT = "RUN /output/scripts/pip_install $PYCMD"
PREPARED = [
    f"LABEL {LABEL}",
    "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels",
    "COPY _build/wheels /wheels",
    "RUN $PYCMD $(echo /wheels/pip-*.whl)/pip install pip",
]
COMMUNITY = Path(ansible.__file__).parents[1] / "ansible_collections/community"
#: What ansible-builder itself installs into each image.
BUILDERS = ("bindep", "pyyaml", "packaging", "dumb-init==1.2.5", "pip")


def run(*argv: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(list(map(str, argv)), cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


def created(folder: Path, definition: dict[str, Any]) -> list[str]:
    """The steps, without empty lines and remarks."""
    (folder / "execution-environment.yml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    run(Path(sys.executable).with_name("ansible-builder"), "create", "--output-filename", "Containerfile", cwd=folder)
    lines = (folder / "context/Containerfile").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def packed(installed: Path, archive: Path) -> None:
    """What an installed collection was unpacked from; Ansible's package leaves out files that its list names."""
    listed, manifest = (json.loads((installed / name).read_text(encoding="utf-8")) for name in ("FILES.json", "MANIFEST.json"))
    listed["files"] = [entry for entry in listed["files"] if (installed / entry["name"]).exists()]
    files = json.dumps(listed).encode()
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(files).hexdigest()
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in (("FILES.json", files), ("MANIFEST.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        for listed_entry in listed["files"]:
            if listed_entry["name"] != ".":
                tar.add(installed / listed_entry["name"], listed_entry["name"], recursive=False)


def archives(folder: Path) -> list[str]:
    """Ours, built from the checkout, and those that it needs, as they are installed beside this Python."""
    folder.mkdir()
    run(sys.executable, "-m", "ansible.cli.galaxy", "collection", "build", ROOT, "--output-path", folder, cwd=folder)
    for name in ("docker", "library_inventory_filtering_v1"):
        packed(COMMUNITY / name, folder / f"community-{name}.tar.gz")
    return sorted(path.name for path in folder.iterdir())


def fetch_wheels(folder: Path, definition: dict[str, Any], python: str) -> None:
    """For the base image's Python."""
    wanted = [definition["dependencies"][name]["package_pip"] for name in ("ansible_core", "ansible_runner")]
    for collection in (ROOT, COMMUNITY / "docker"):
        wanted += ["-r", str(collection / "meta/ee-requirements.txt")]
    platforms = [f"--platform={name}_x86_64" for name in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    pip = [*images.pip_command().split(), "download", "--quiet", "--only-binary=:all:", f"--python-version={python}", "--implementation=cp"]
    run(*pip, *platforms, "--dest", folder, *wanted, *BUILDERS, cwd=ROOT)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base, folder = images.reference("node-trixie"), tmp_path_factory.mktemp("execution-environment")
    definition = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    (folder / "users").mkdir()
    users = created(folder / "users", definition)

    names = archives(folder / "archives")
    print_version = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", base, "-c"]
    fetch_wheels(
        folder / "wheels", definition, run(*print_version, "import sys; print('%d.%d' % sys.version_info[:2])", cwd=folder).strip()
    )
    definition["dependencies"]["galaxy"] = {"collections": [{"name": f"/build/archives/{name}", "type": "file"} for name in names]}
    definition["additional_build_files"] = [{"src": str(folder / name), "dest": name} for name in ("archives", "wheels")]
    definition["additional_build_steps"] = {"prepend_base": PREPARED}
    definition["options"] = {"skip_pip_install": True}
    ours = created(folder, definition)
    assert [line for line in ours if line not in PREPARED] == [line for line in users if line != LEFT_OUT]

    arguments = {"EE_BASE_IMAGE": base, "PKGMGR": "/usr/bin/apt-get", "ANSIBLE_GALAXY_CLI_COLLECTION_OPTS": "--offline"}
    build = ["docker", "build", "--network", "none", "--force-rm", "--tag", TAG, "--file", "context/Containerfile"]
    for name, value in arguments.items():
        build += ["--build-arg", f"{name}={value}"]
    try:
        run(*build, "context", cwd=folder, DOCKER_BUILDKIT="0")
        yield TAG
    finally:
        subprocess.run(["docker", "image", "rm", "--force", TAG], capture_output=True, check=False)
        subprocess.run(["docker", "image", "prune", "--force", "--filter", f"label={LABEL}"], capture_output=True, check=False)


def inside(image: str, *command: str, folder: Path) -> str:
    """As the image's own user, by its own entrypoint."""
    argv = ["docker", "run", "--rm", "--network", "none", "--volume", f"{folder}:/runner/project:ro", image]
    return run(*argv, *command, cwd=folder)


def test_a_users_inventory_is_planned_in_the_image(image: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "inventories" / "four-capabilities", tmp_path / "mine")
    tmp_path.chmod(0o755)
    plan = ["ansible-playbook", "-i", "/runner/project/mine", "-e", "plan_offline=true", "-e", "inference_secrets_dir=/tmp/keys"]
    told = inside(image, *plan, "llmops.gpu_inference.plan", folder=tmp_path)
    assert "8070" in told
    assert "failed=0" in told


def test_what_the_collection_needs_is_in_the_image(image: str, tmp_path: Path) -> None:
    listed = inside(image, "ansible-galaxy", "collection", "list", folder=tmp_path)
    for name in ("community.docker", "community.library_inventory_filtering_v1", "llmops.gpu_inference"):
        assert name in listed
    inside(image, "python3", "-c", "import ansible_runner, docker, requests, yaml", folder=tmp_path)
    inside(image, "sh", "-c", "command -v ssh && command -v ansible-runner", folder=tmp_path)
