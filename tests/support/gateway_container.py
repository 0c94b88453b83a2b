# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's container as the role makes it, on a network of its own."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.containers import LITELLM
from testbed import settings

from ansible_collections.llmops.gpu_inference.plugins.module_utils._live_files import place_live, read_live, want_live
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import container_unit

FILES = Path(__file__).resolve().parents[2] / "roles" / "litellm" / "files"
MASTER = "sk-master-0123456789abcdef"
LABEL = f"{settings.LABEL}=1"


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr}")
    return done.stdout.strip()


@contextmanager
def network(name: str) -> Iterator[None]:
    docker("network", "create", "--label", LABEL, name)
    try:
        yield
    finally:
        subprocess.run(["docker", "network", "rm", name], capture_output=True, check=False)


@contextmanager
def container(name: str, on: str, image: str, *command: str, options: tuple[str, ...] = ()) -> Iterator[None]:
    """A container on a network, gone afterwards."""
    try:
        docker("run", "--detach", "--label", LABEL, "--network", on, "--name", name, *options, image, *command)
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False)


def gateway_unit(
    folder: Path, on: str, port: int, described: dict[str, Any], client_keys: Mapping[str, str], **options: Any
) -> dict[str, Any]:
    """The container unit of a plan's gateway, for one that runs without a node around it."""
    return container_unit(
        build_config(described, "gw"),
        build_policy(described),
        image=LITELLM,
        master_key=MASTER,
        plugins={path.name: path.read_text(encoding="utf-8") for path in FILES.glob("gateway_*.py")},
        client_keys=client_keys,
        bind="127.0.0.1",
        port=port,
        networks=[on],
        memory_limit="auto",
        instances_dir=str(folder),
        user=f"{os.getuid()}:{os.getgid()}",
        **options,
    )


@contextmanager
def gateway(
    folder: Path, name: str, on: str, port: int, described: dict[str, Any], client_keys: Mapping[str, str], **options: Any
) -> Iterator[None]:
    """The gateway of a plan, published on a port of 127.0.0.1, and called litellm-gateway on its network."""
    unit = gateway_unit(folder, on, port, described, client_keys, **options)
    place = folder / "litellm" / "gateway"
    place.mkdir(parents=True)
    for file, text in unit["files"].items():
        (place / file).write_text(text, encoding="utf-8")
    place_live(read_live(place, want_live(unit)))
    variables = {**unit["environment"], **unit["secret_environment"]}
    environment = [part for item in variables.items() for part in ("--env", "=".join(item))]
    arguments = (*unit["docker_arguments"], *environment)
    with container(name, on, LITELLM, *unit["command"], options=arguments):
        _wait(name, port)
        yield


def _wait(name: str, port: int) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/readiness", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline or docker("inspect", "--format", "{{.State.Running}}", name) != "true":
                raise RuntimeError(docker("logs", "--tail", "40", name)) from None
            time.sleep(0.5)
