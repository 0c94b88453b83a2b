# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts of an inventory, read by the Docker that is installed: what the plan takes arrives as it was written.

Containers are created and removed, none is started. Needs the test bed's images: `make real`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.containers import LITELLM
from support.nasty import IMAGES, LINES, PATHS, SIZES

from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import env_text
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.docker_arguments import bind_mount, volume
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.grammar import docker_size, target_trouble, volume_trouble

HEXADECIMAL = "deadbeef"


def docker(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def created() -> Iterator[Any]:
    """Creates a container and gives what Docker has made of the arguments, or what it said."""
    made: list[str] = []

    def create(*arguments: str) -> dict[str, Any] | str:
        done = docker("create", "--pull", "never", *arguments, LITELLM)
        if done.returncode:
            return done.stderr
        made.append(done.stdout.strip())
        document: dict[str, Any] = json.loads(docker("inspect", made[-1]).stdout)[0]
        return document

    yield create
    if made:
        docker("rm", "--force", "--volumes", *made)


def test_images() -> None:
    """Docker looks for every image that the plan takes, and reads none of those that it refuses; an image's id is no name to keep."""
    differ = []
    for image, good in IMAGES:
        said = docker("create", "--pull", "never", "--", image).stderr
        if image and HEXADECIMAL not in image and ("No such image" in said) is not good:
            differ.append((image, said))
    assert differ == []


def test_sizes_of_shared_memory(created: Any) -> None:
    differ = []
    for value, size in SIZES:
        written = docker_size(value)
        if written is not None:
            for spelling in {written, str(value).replace("1.0000005m", written)}:
                found = created("--shm-size", spelling)
                if isinstance(found, str) or found["HostConfig"]["ShmSize"] != size:
                    differ.append((spelling, size, found if isinstance(found, str) else found["HostConfig"]["ShmSize"]))
    assert differ == []


def test_paths_of_models() -> None:
    """The folders do not exist, and Docker says which one it looked for."""
    paths = [path for path, good in PATHS if good]
    said = {path: docker("create", "--pull", "never", *bind_mount(path), LITELLM).stderr.strip() for path in paths}
    assert {path: text for path, text in said.items() if not text.endswith(f"bind source path does not exist: {path}")} == {}


def test_paths_of_folders(created: Any, tmp_path: Path) -> None:
    paths = [path for path, good in PATHS if good and not volume_trouble(path) and not target_trouble(path)]
    assert len(paths) > 12
    for path in paths:
        found = created(*volume(f"{tmp_path}/x", path, read_only=True))
        assert found["HostConfig"]["Binds"] == [f"{tmp_path}/x:{path}:ro"]
        assert [(item["Destination"], item["RW"]) for item in found["Mounts"]] == [(str(path).rstrip("/") or "/", False)] or ".." in path


def test_lines_of_an_env_file(created: Any, tmp_path: Path) -> None:
    wanted = {f"NASTY_{number}": line for number, line in enumerate(LINES)}
    file = tmp_path / "env"
    file.write_text(env_text(wanted), encoding="utf-8")
    found = created("--env-file", str(file))
    assert isinstance(found, dict), found
    pairs = dict(item.split("=", 1) for item in found["Config"]["Env"])
    assert {name: value for name, value in pairs.items() if name.startswith("NASTY_")} == wanted


def test_the_longest_line_of_an_env_file(created: Any, tmp_path: Path) -> None:
    """65535 bytes, and not one more."""
    file = tmp_path / "env"
    for length, good in ((65535, True), (65536, False)):
        file.write_text("A=" + "x" * (length - 2) + "\n", encoding="utf-8")
        assert isinstance(created("--env-file", str(file)), dict) is good


def test_names_of_networks_that_are_docker_s_own() -> None:
    for name in ("bridge", "host", "none", "default"):
        done = docker("network", "create", name)
        assert done.returncode != 0, name
