# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Fetches what instances will need at their next start, images and models, while whatever runs goes on serving."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log, diagnosis, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import (
    Wanted,
    check_arguments,
    image_id,
    pull_image,
    with_remedy,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, LABEL, OWNER, SERVICE_FILE

TIMEOUT = 6 * 3600.0
"""Seconds for one image or one model: a hundred GiB at 5 MiB/s."""


@dataclass
class Fetched:
    """What was fetched, or would be: images by name, models by the instance that they are for."""

    images: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.images or self.models)


def prefetch(wanted: Sequence[Wanted], docker: str, *, check_mode: bool = False, run: Run = run_command) -> Fetched:
    """Pulls each image that is missing (all with C(always)), then runs each download. One that fails does not stop the others."""
    fetched = Fetched()
    absent = set()
    for image, policy in dict.fromkeys((item.image, item.pull) for item in wanted):
        present = image_id(run, docker, image)
        if present is not None and (policy != "always" or check_mode):
            continue
        if policy == "never":
            absent.add(image)
            fetched.failures.append(f"image {image} is not on this host, and pull is 'never'")
            continue
        if not check_mode:
            problem = pull_image(run, docker, image, TIMEOUT)
            if problem:
                absent.add(image)
                fetched.failures.append(f"cannot pull {image}: {problem}")
                continue
            if image_id(run, docker, image) == present:
                continue
        fetched.images.append(image)
    if check_mode:
        # What of a model is missing only the hub knows.
        return fetched
    for item in wanted:
        if item.image not in absent:
            _download(item, docker, run, fetched)
    return fetched


def download_arguments(item: Wanted, name: str, env_file: str) -> list[str]:
    """Arguments of docker for the download of an instance that need not have a folder yet; empty where there is none to run."""
    service = json.loads(item.files[SERVICE_FILE])
    if not service["download_command"]:
        return []
    # By itself Docker would make folders in place of the instance's files, so these mounts are left out. No GPU, no ports.
    arguments = ["run", "--rm", "--name", name, "--label", f"{LABEL}owner={OWNER}", "--pull", "never", "--env-file", env_file]
    arguments += ["--network", service["networks"][0]] if service["networks"] else []
    arguments += check_arguments(service["docker_arguments"] or [], item.instance, {})
    arguments += ["--entrypoint", service["download_entrypoint"]] if service["download_entrypoint"] else []
    return [*arguments, item.image, *service["download_command"]]


def _download(item: Wanted, docker: str, run: Run, fetched: Fetched) -> None:
    # A name of its own: the launcher may be downloading for the same instance. The hub's client locks each file.
    name = f"{item.container}-prefetch"
    with tempfile.NamedTemporaryFile("w", prefix="gpu-inference-prefetch-") as env:  # its owner alone may read it
        arguments = download_arguments(item, name, env.name)
        if not arguments:
            return
        env.write(item.files[ENV_FILE])
        env.flush()
        run([docker, "rm", "--force", name], 60)  # of a run that was killed
        ran = run([docker, *arguments], TIMEOUT)
    lines = [redact(line, item.secrets) for line in (ran.out + "\n" + ran.err).split("\n") if line.strip()]
    if ran.rc != 0:
        found = classify_log(item.kind, lines, exit_code=ran.rc)
        if found.cause is Cause.UNKNOWN:
            found = diagnosis(Cause.DOWNLOAD_FAILED, found.message, found.log_lines)
        fetched.failures.append(with_remedy(f"{item.instance}: {found.cause}: {found.message}", found))
        return
    seen = (progress.parse_line(item.kind, line) for line in lines)
    if any(one is not None and one.phase == progress.DOWNLOADING for one in seen):
        fetched.models.append(item.instance)
