# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""One vLLM engine over several hosts: what each of its members is told.

vLLM's own multi-node mode (C(--nnodes), executor C(mp)), which needs no Ray. Every member runs C(vllm serve) with its rank, all but the
first one without an API server (C(--headless)). Read of vLLM 0.32: C(engine/arg_utils.py), C(entrypoints/cli/serve.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...module_utils import _docker_flags as docker_flags
from .._plan.model import Part
from .._plan.platform import version_tuple
from .vllm_flags import switched_on

if TYPE_CHECKING:
    from .._plan.task import Task

KEY_VARIABLE = "VLLM_API_KEY"
ADDRESS_VARIABLE = "VLLM_HOST_IP"
#: By which programs find the interface of the members' network where the address alone does not say it.
_INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
#: On every member, above the port of the service: where the launchers speak with each other, where the ranks meet
#: (C(--master-port)), and where the engines of data parallelism do (C(--data-parallel-rpc-port)).
GROUP_PORT, MASTER_PORT, REPLICAS_PORT = 10000, 20000, 5000
#: The first release with C(--nnodes) for the executor mp.
_SINCE = (0, 12)

_SET = "is set by the collection for an engine over several hosts; leave it out"
_SIZE = "use {} of the service, so that its GPUs are counted"
#: What no member may be told by engine_args.
_REFUSED: Mapping[str, str] = {
    "nnodes": _SET,
    "node-rank": _SET,
    "master-addr": f"{_SET} (inference_cluster_address of the first host)",
    "master-port": _SET,
    "headless": _SET,
    "api-server-count": _SET,
    "pipeline-parallel-size": _SIZE.format("pipeline_parallel_size"),
    "data-parallel-size": _SIZE.format("data_parallel_size"),
    "prefill-context-parallel-size": "is not counted for an engine over several hosts; leave it out",
    "data-parallel-address": _SET,
    "data-parallel-backend": _SET,
    "data-parallel-rank": _SET,
    "data-parallel-rpc-port": _SET,
    "data-parallel-size-local": _SET,
    "data-parallel-start-rank": _SET,
}
_BALANCED = ("data-parallel-external-lb", "data-parallel-hybrid-lb", "data-parallel-multi-port-external-lb")
#: Of an instance, what all members have to have alike: they run one engine.
ALIKE = (
    "image",
    "model",
    "revision",
    "engine_args",
    "max_model_len",
    "kv_cache_memory_bytes",
    "adapters",
    "image_packages",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "port",
)


def group_troubles(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The arguments that an engine over several hosts cannot be given, and why."""
    for name, message in _REFUSED.items():
        if arguments.get(name) is not None:
            yield name, message
    for name in _BALANCED:
        if switched_on(arguments, name):
            yield name, "has every host answer by itself, and of an engine over several hosts the first one answers; leave it out"
    executor = arguments.get("distributed-executor-backend")
    if executor not in (None, "mp"):
        yield (
            "distributed-executor-backend",
            "must be mp, or left out: the hosts of an engine find each other without Ray, which images of vLLM lack",
        )


def version_trouble(version: str | None) -> str | None:
    number = version_tuple(version.lstrip("v")) if version else None
    if number is None or number >= _SINCE:
        return None
    return f"vLLM {version} runs on one host only without Ray; use an image with {'.'.join(map(str, _SINCE))} or newer"


def _rdma(own: Sequence[str]) -> list[str]:
    """Arguments by which NCCL may use the cards: their devices, and memory that they may keep in place, of which Docker allows little. What
    the user says himself counts."""
    found = []
    if not any(value.startswith("/dev/infiniband") for value in docker_flags.values(own, "device")):
        found.append("--device=/dev/infiniband")
    if not any(value.startswith("memlock=") for value in docker_flags.values(own, "ulimit")):
        found.append("--ulimit=memlock=-1")
    return found


def group_part(part: Part, task: Task) -> dict[str, Any]:
    """What the instance of a member has besides, or in place of, that of a service on one host."""
    sizes, own = part.whole.sizes, task.service.container_extra_arguments
    return {
        # The ranks meet at ports that change with every start, which cannot be published.
        "networks": ["host"],
        "container_extra_arguments": [*(_rdma(own) if part.rdma and task.device == "gpu" else ()), *own],
        "pipeline_parallel_size": sizes.get("pipeline_parallel_size", 1),
        "data_parallel_size": sizes.get("data_parallel_size", 1),
        "group": {
            "rank": part.rank,
            "port": task.port + GROUP_PORT,
            "master_port": task.port + MASTER_PORT,
            "members": [{"host": host, "address": address} for host, address in zip(part.whole.hosts, part.addresses)],
            "interface": part.interface,
        },
    }


def digest(instance: Mapping[str, Any]) -> str:
    """By which members know that they are parts of the same engine."""
    group = instance["group"]
    alike = {
        **{name: instance.get(name) for name in ALIKE},
        **{name: group[name] for name in ("port", "master_port", "members")},
    }
    return hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()[:16]


def ranks(instance: Mapping[str, Any]) -> int:
    """GPUs of all members together; of a service on one host those that share the model."""
    return int(
        (instance.get("tensor_parallel_size") or 1)
        * (instance.get("pipeline_parallel_size") or 1)
        * (instance.get("data_parallel_size") or 1)
    )


def group_config(instance: Mapping[str, Any]) -> dict[str, Any]:
    """Of the engine's config file, C(None) for what is to be left out."""
    group = instance.get("group")
    if not group:
        return {}
    first = group["rank"] == 0
    stages, replicas = instance.get("pipeline_parallel_size") or 1, instance.get("data_parallel_size") or 1
    found: dict[str, Any] = {
        "nnodes": len(group["members"]),
        "node-rank": group["rank"],
        "master-addr": group["members"][0]["address"],
        "master-port": group["master_port"],
        # On the host's network, where nothing but the proxy of the node is to reach the API.
        "host": "127.0.0.1" if first else None,
        "port": instance["port"] if first else None,
        "headless": None if first else True,
        "pipeline-parallel-size": stages if stages > 1 else None,
    }
    if replicas > 1:
        found["data-parallel-size"] = replicas
        found["data-parallel-rpc-port"] = int(instance["port"]) + REPLICAS_PORT
        # By itself vLLM starts one for each replica.
        found["api-server-count"] = 1 if first else None
    return found


def group_environment(instance: Mapping[str, Any]) -> dict[str, str]:
    group = instance.get("group")
    if not group:
        return {}
    interface = group.get("interface")
    names = dict.fromkeys(_INTERFACE_VARIABLES, str(interface)) if interface else {}
    return {ADDRESS_VARIABLE: str(group["members"][group["rank"]]["address"]), **names}


def unit_group(instance: Mapping[str, Any]) -> dict[str, Any]:
    """For module container_units: with whom this unit lives and dies."""
    group = instance.get("group")
    if not group:
        return {}
    return {"group": {**{name: group[name] for name in ("rank", "port", "members", "digest")}, "key_variable": KEY_VARIABLE}}
