# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the containers of all engines have in common: how one becomes a unit, and what it mounts.

An instance may lack what users of a role leave out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._plan import defaults
from .docker_arguments import bind_mount, volume
from .gpu_access import gpu_arguments, gpu_environment

HUB_CACHE = "/root/.cache/huggingface"


def of_hub(source: str | None) -> bool:
    return bool(source) and not str(source).startswith("/")


def published(instance: Mapping[str, Any], container_port: int) -> list[str]:
    return ["--publish", f"127.0.0.1:{instance['port']}:{container_port}"]


def mounted(instance: Mapping[str, Any], paths: Iterable[str] = ()) -> list[str]:
    """The user's mounts, and the paths of a model at their own places, read-only, where no mount has them."""
    mounts = instance.get("mounts") or []
    there = [str(mount["target"]).rstrip("/") for mount in mounts]
    arguments: list[str] = []
    for path in paths:
        if path.startswith("/") and not any(path == place or path.startswith(f"{place}/") for place in there):
            # Not --volume: for a path that does not exist Docker would make an empty folder, and the engine speak of a wrong repository.
            arguments += bind_mount(path)
            there.append(path.rstrip("/"))
    for mount in mounts:
        arguments += volume(mount["source"], mount["target"], read_only=bool(mount.get("read_only")))
    return arguments


def gpus_given(instance: Mapping[str, Any]) -> list[str]:
    return gpu_arguments(*_gpus(instance))


def _gpus(instance: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    return instance.get("device") or "gpu", instance.get("gpu_access") or "none", list(instance.get("gpus") or [])


def server_unit(
    kind: str,
    instance: Mapping[str, Any],
    docker_arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    probe: Mapping[str, Any] | None,
    watchdog: int,
    limit: Any,
    secrets: Mapping[str, str | None] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The instance as module container_units takes it.

    C(environment): the engine's; the user's own C(env) has the last word. C(probe): what is particular to it, None where nobody can ask it.
    C(limit): MiB of main memory. C(more): further keys of the unit.
    """
    device, access, gpus = _gpus(instance)
    silence = instance.get("silence_timeout")
    return {
        "kind": kind,
        "name": instance["name"],
        "image": instance["image"],
        "pull": instance.get("pull") or "missing",
        "docker_arguments": [*docker_arguments],
        "networks": list(instance.get("networks") or [defaults.ENGINES_NETWORK]),
        "environment": {
            **environment,
            **gpu_environment(device, access, gpus),
            **{name: str(value) for name, value in (instance.get("env") or {}).items()},
        },
        "secret_environment": {name: value for name, value in (secrets or {}).items() if name and value},
        # A Jetson's one GPU has no UUID.
        "locks": [] if device == "cpu" else gpus or ["gpu"],
        "probe": None if probe is None else _probe(instance, probe),
        "start_timeout": int(instance.get("ready_timeout") or defaults.READY_TIMEOUT),
        "silence_timeout": defaults.SILENCE_TIMEOUT if silence is None else int(silence),
        "stop_timeout": int(instance.get("stop_timeout") or defaults.STOP_TIMEOUT),
        "watchdog": watchdog,
        **({"memory_limit_mib": int(limit)} if limit else {}),
        **more,
    }


def _probe(instance: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "base_url": f"http://127.0.0.1:{instance['port']}/v1",
        "level": "answer",
        "capability": instance.get("capability") or "chat",
        "modalities": list(instance.get("modalities") or []),
        "dimension": instance.get("dimension"),
        **own,
    }
