# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Models of an instance, fetched beside whatever runs: by a container of its image, or through its own server."""

from __future__ import annotations

import re
import tempfile
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_flags as docker_flags
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis, classify_log, diagnosis, or_else, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, LABEL, OWNER
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama import Installed, OllamaError, same_model
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ollama_api import UnreachableError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import read_service

TIMEOUT = 6 * 3600.0
"""Seconds for one image or one model: a hundred GiB at 5 MiB/s."""

_KEPT_FLAGS = ("volume", "mount", "env")
# The old server may be too old for a model that the new image knows.
_WANTS_NEWER = re.compile(r"newer version|\b412\b")


class Item(t.Protocol):
    """What is needed of an instance."""

    @property
    def kind(self) -> str: ...
    @property
    def instance(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def secrets(self) -> tuple[str, ...]: ...


class ModelServer(t.Protocol):
    """An Ollama server that runs."""

    def tags(self) -> Sequence[Installed]: ...

    def pull(self, tag: str) -> None: ...


def check_arguments(docker_arguments: Sequence[str], instance: str, environment: Mapping[str, str]) -> list[str]:
    """What a run beside the container gets of its arguments: mounts, since a configuration may name files, and plain variables.

    The mounts of the instance's own files are left out: Docker would make a folder in place of one that is not there yet.
    """
    flags, _mistakes = docker_flags.read(docker_arguments)
    result = docker_flags.words(flag for flag in flags if flag.name in _KEPT_FLAGS and f"/{instance}/" not in flag.value.partition(":")[0])
    for variable, value in sorted(environment.items()):
        result += ["--env", f"{variable}={value}"]
    return result


def download_arguments(item: Item, name: str, env_file: str) -> list[str]:
    """Arguments of docker for the download of an instance that need not have a folder yet; empty where there is none to run."""
    service = read_service(item.files)
    if not service["download_command"]:
        return []
    # No GPU, no ports.
    arguments = ["run", "--rm", "--name", name, "--label", f"{LABEL}owner={OWNER}", "--pull", "never", "--env-file", env_file]
    arguments += ["--network", service["networks"][0]] if service["networks"] else []
    arguments += check_arguments(service["docker_arguments"] or [], item.instance, {})
    arguments += ["--entrypoint", service["download_entrypoint"]] if service["download_entrypoint"] else []
    return [*arguments, item.image, *service["download_command"]]


def download(item: Item, docker: Docker) -> tuple[Diagnosis | None, bool]:
    """Runs an instance's download: what went wrong, and whether anything was fetched."""
    # A name of its own: the launcher may be downloading for the same instance. The hub's client locks each file.
    name = f"{item.container}-prefetch"
    with tempfile.NamedTemporaryFile("w", prefix="gpu-inference-prefetch-", encoding="utf-8") as env:  # its owner alone may read it
        arguments = download_arguments(item, name, env.name)
        if not arguments:
            return None, False
        env.write(item.files[ENV_FILE])
        env.flush()
        docker.remove(name)  # of a run that was killed
        ran = docker.call(*arguments, timeout=TIMEOUT)
    lines = [redact(line, item.secrets) for line in ran.lines]
    if ran.rc != 0:
        return or_else(classify_log(item.kind, lines, exit_code=ran.rc), Cause.DOWNLOAD_FAILED), False
    seen = (progress.parse_line(item.kind, line) for line in lines)
    return None, any(one is not None and one.phase == progress.DOWNLOADING for one in seen)


def pull_into(kind: str, server: ModelServer, tags: Sequence[str], other_image: bool) -> Diagnosis | None:
    """Pulls models through the server that serves the old ones; what went wrong. C(other_image): the next server is another one."""
    try:
        present = server.tags()
    except UnreachableError:
        return None
    except OllamaError as error:
        return diagnosis(Cause.DOWNLOAD_FAILED, str(error))
    for tag in tags:
        if any(same_model(tag, one.tag) for one in present):
            continue
        try:
            server.pull(tag)
        except OllamaError as error:
            if other_image and _WANTS_NEWER.search(str(error)):
                continue
            found = or_else(classify_log(kind, [f"Error: {error}"]), Cause.DOWNLOAD_FAILED)
            return replace(found, message=f"{kind} cannot pull {tag}: {error}")
    return None
