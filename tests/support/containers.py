# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the test bed's images, run on files of the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from testbed import settings

VLLM = f"{settings.IMAGE_PREFIX}/vllm:{settings.VLLM_TAG}"
LITELLM = f"{settings.IMAGE_PREFIX}/litellm:{settings.LITELLM_TAG}"


def docker_run(image: str, folder: Path, *command: str, environment: Mapping[str, str], network: str = "none") -> list[str]:
    """The argv that runs a command of an image. Inside, the folder has the same path and is the home."""
    argv = ["docker", "run", "--rm", "--network", network, "--user", f"{os.getuid()}:{os.getgid()}"]
    argv += ["--volume", f"{folder}:{folder}", "--workdir", str(folder)]
    for name, value in {"HOME": str(folder), **environment}.items():
        argv += ["--env", f"{name}={value}"]
    return [*argv, "--entrypoint", command[0], image, *command[1:]]


def docker_run_python(image: str, program: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a Python program of an image prints; it runs in the folder."""
    command = docker_run(image, folder, "python3", "-c", program, environment=environment or {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
