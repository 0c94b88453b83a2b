# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the test bed's images, run on files of the test."""

from __future__ import annotations

import os
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
