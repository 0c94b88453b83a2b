# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""From a vLLM instance as the inventory means it to the container unit that runs it.

Everything that vLLM is told goes into one YAML file, read with C(--config FILE) in two words: C(--config=FILE) is silently
ignored and the default model served instead (vllm#43252). Keys go into the env file, so nothing shows up in C(ps).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from .._gateway.plain import plain, yaml_text
from .._plan import defaults
from .._plan.platform import version_tuple
from .._secrets.secrecy import has_credentials, is_reference
from .docker_arguments import CONFINED, volume
from .server import HUB_CACHE, gpus_given, mounted, published, server_unit
from .vllm_adapters import adapter_flags
from .vllm_flags import file_entries, keyed
from .vllm_group import KEY_VARIABLE, group_config, group_environment, ranks, unit_group
from .vllm_hub import asks_hub, download_command

CONTAINER_PORT = 8000
HEALTH_PATH = "/health"
COMPILE_CACHE = "/root/.cache/vllm"
CONFIG_PATH = "/etc/vllm/config.yaml"
#: In the image, for packages that it lacks: what its documentation names.
INSTALL_COMMAND = "uv pip install --system"

# Flags of `vllm serve` that the collection itself sets, with the first release that has them. A flag that the image's
# engine lacks would end it with exit code 2, so it is left out there. (disable-access-log-for-endpoints: Red Hat OpenShift
# AI 3.5, "About vLLM uvicorn access logs"; shutdown-timeout: kserve PR #5496.)
OWN_FLAGS_SINCE: Mapping[str, tuple[int, ...]] = {
    "disable-access-log-for-endpoints": (0, 16),
    "disable-fastapi-docs": (0, 6),
    "runner": (0, 10, 1),
    "shutdown-timeout": (0, 18),
}

# Pooling models (embeddings, rerank) have no generate endpoints; before --runner existed the switch was --task.
_OLD_TASKS: Mapping[str, str] = {"embedding": "embed", "rerank": "score"}

# No telemetry (docs: "Usage Stats Collection"), no colours or logo in the journal, and no redirects from an image URL to
# somewhere else (docs: security, VLLM_MEDIA_URL_ALLOW_REDIRECTS).
DEFAULT_ENVIRONMENT: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "VLLM_DISABLE_LOG_LOGO": "1",
    "VLLM_LOGGING_COLOR": "0",
    "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
    "VLLM_NO_USAGE_STATS": "1",
}

# `vllm serve`'s own parser reads the file before the engine that serves is stopped for it. Where a release has its parser
# elsewhere, or cannot build it without a GPU, nothing is said: the start will show.
CHECK_PROGRAM = """
import sys, tempfile
def unchecked(reason):
    print("not checked:", reason)
    sys.exit(0)
try:
    try:
        from vllm.entrypoints.openai import cli_args
    except ImportError:
        from vllm.entrypoints.launchers import cli_args
    try:
        from vllm.utils.argparse_utils import FlexibleArgumentParser
    except ImportError:
        from vllm.utils import FlexibleArgumentParser
    parser = FlexibleArgumentParser(prog="vllm")
    serve = parser.add_subparsers(dest="subparser").add_parser("serve")
    serve = cli_args.make_arg_parser(serve)
    validate = cli_args.validate_parsed_serve_args
except Exception as error:
    unchecked("%s: %s" % (type(error).__name__, error))
with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
    config.write(sys.stdin.read())
    config.flush()
    sys.argv = ["vllm", "serve", "--config", config.name]
    arguments = parser.parse_args()
try:
    validate(arguments)
except (TypeError, ValueError) as error:
    print("vllm serve: error: %s" % error, file=sys.stderr)
    sys.exit(2)
except Exception as error:
    unchecked("%s: %s" % (type(error).__name__, error))
""".strip()

_TRUE = ("1", "on", "true", "yes")

# Page cache of the container's own cgroup that an image's libraries take: measured 700 MiB for a small one.
_LIBRARIES_MIB = 2048


def cpu_limit_mib(budget_mib: int) -> int:
    """Docker's limit on the main memory of an engine that may take C(budget_mib) for itself, its weights and its KV cache.

    vLLM takes the limit less all that is charged to the cgroup for what is free (vllm/utils/cpu_resource_utils.py), page cache included,
    which the kernel gives back only when the limit is reached. So the files that are read at a start must fit beside the budget: the
    weights, which are part of it, and the image's libraries. With the budget for a limit it fails with "Available memory on node 0
    (0.0/1.0 GiB) on kv cache allocation is less than requested memory for kv".
    """
    return 2 * budget_mib + _LIBRARIES_MIB


def cpu_utilization(budget_mib: int, host_mib: float | None = None) -> float:
    """The fraction of its limit, or of the host's memory where that is less, that makes vLLM keep to its budget; rounded down."""
    limit = float(cpu_limit_mib(budget_mib))
    return int(budget_mib / min(limit, host_mib or limit) * 1000) / 1000


def has_flag(flag: str, version: tuple[int, ...] | None) -> bool:
    """A version that is not known is taken for a current one."""
    return version is None or version >= OWN_FLAGS_SINCE[flag]


def engine_config(instance: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the engine's C(--config) file: our own settings, then the user's C(engine_args) on top."""
    version = version_tuple(instance.get("engine_version"))
    capability = instance.get("capability") or "chat"
    config: dict[str, Any] = {
        "model": instance["model"],
        "served-model-name": list(instance.get("served_model_names") or [instance["name"]]),
        "host": "0.0.0.0",  # noqa: S104 -- inside the container; the published port is on 127.0.0.1
        "port": CONTAINER_PORT,
        "disable-fastapi-docs": True,
        "disable-access-log-for-endpoints": "/health,/metrics,/ping",
        # The engine's own drain ends before the container is killed (docker stop waits stop_timeout seconds).
        "shutdown-timeout": max(0, int(instance.get("stop_timeout") or defaults.STOP_TIMEOUT) - 30),
    }
    if capability in _OLD_TASKS:
        config["runner"] = "pooling"
    config = {key: value for key, value in config.items() if key not in OWN_FLAGS_SINCE or has_flag(key, version)}
    if capability in _OLD_TASKS and "runner" not in config:
        config["task"] = _OLD_TASKS[capability]
    tensor_parallel_size = int(instance.get("tensor_parallel_size") or 1)
    optional = {
        "revision": instance.get("revision"),
        "max-model-len": instance.get("max_model_len"),
        "tensor-parallel-size": tensor_parallel_size if tensor_parallel_size > 1 else None,
        "gpu-memory-utilization": utilization(instance),
        "kv-cache-memory-bytes": instance.get("kv_cache_memory_bytes"),
    }
    config.update({key: value for key, value in optional.items() if value is not None})
    arguments = instance.get("engine_args") or {}
    config.update(adapter_flags(instance.get("adapters") or {}, keyed(arguments)))
    for key, value in (*file_entries(arguments, version).items(), *group_config(instance).items()):
        if value is None:
            config.pop(key, None)
        else:
            config[key] = value
    return config


def utilization(instance: Mapping[str, Any]) -> float | None:
    """Share of a GPU's memory; on the CPU of the container's limit, unless the size of the KV cache is given, which is all it decides."""
    given = instance.get("gpu_memory_utilization")
    if instance.get("device") != "cpu":
        return None if given is None else float(given)
    if instance.get("kv_cache_memory_bytes") or not instance.get("memory_mib"):
        return None
    return float(given or cpu_utilization(int(instance["memory_mib"])))


def image_layer(
    instance: Mapping[str, Any], data_dir: str = defaults.DATA_DIR, install_command: str = INSTALL_COMMAND
) -> dict[str, Any] | None:
    """The instance's image with packages installed on top; the same packages always give the same tag."""
    packages = sorted(instance.get("image_packages") or [])
    if not packages:
        return None
    digest = hashlib.sha256("\n".join([instance["image"], *packages]).encode()).hexdigest()[:16]
    env = instance.get("env") or {}
    # One with a password is for the container alone: arguments of a build can be read by every user, and stay in the image.
    given = {name: str(env[name]) for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") if env.get(name)}
    return {
        "tag": f"gpu-inference/vllm-layer:{digest}",
        "image": instance["image"],
        "packages": packages,
        "install_command": install_command,
        "folder": f"{data_dir}/images/{digest}",
        "proxy": {name: value for name, value in given.items() if not is_reference(value) and not has_credentials(value)},
    }


def image_layers(instances: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The image layers to build for these instances, each once."""
    layers = {layer["tag"]: layer for layer in map(image_layer, instances) if layer}
    return [layers[tag] for tag in sorted(layers)]


def default_shm_size(tensor_parallel_size: int) -> str:
    return "16g" if tensor_parallel_size > 1 else "2g"


def docker_arguments(instance: Mapping[str, Any], *, data_dir: str, huggingface_dir: str, instances_dir: str) -> list[str]:
    name = instance["name"]
    return [
        *CONFINED,
        # No --ulimit nofile: Docker 29 lowered the soft limit to 1024, but vLLM raises its own (set_ulimit in its api_server).
        # Docker's 64 MiB are too little: engine and API server talk through shared memory, tensor parallelism more so.
        "--shm-size",
        str(instance.get("shm_size") or default_shm_size(ranks(instance))),
        *([] if instance.get("group") else published(instance, CONTAINER_PORT)),
        *volume(f"{instances_dir}/vllm/{name}/config.yaml", CONFIG_PATH, read_only=True),
        *volume(huggingface_dir, HUB_CACHE),
        # torch.compile's cache: without it each new container compiles again.
        *volume(f"{data_dir}/vllm/{name}", COMPILE_CACHE),
        *mounted(instance, [str(instance["model"]), *(instance.get("adapters") or {}).values()]),
        *gpus_given(instance),
        *map(str, instance.get("container_extra_arguments") or []),
    ]


def container_unit(
    instance: Mapping[str, Any],
    *,
    api_key: str | None = None,
    huggingface_token: str | None = None,
    data_dir: str = defaults.DATA_DIR,
    huggingface_dir: str | None = None,
    instances_dir: str = defaults.INSTANCES_DIR,
    watchdog: int = defaults.WATCHDOG,
    install_command: str = INSTALL_COMMAND,
) -> dict[str, Any]:
    """The container unit of one vLLM instance, as module container_units takes it."""
    instance = plain(instance)
    layer = image_layer(instance, data_dir, install_command)
    names = list(instance.get("served_model_names") or [instance["name"]])
    command = ["--config", CONFIG_PATH]
    download = download_command(instance)
    # Of an engine over several hosts the first answers for all.
    rank = (instance.get("group") or {}).get("rank")
    on_cpu = instance.get("device") == "cpu" and instance.get("memory_mib")
    return server_unit(
        "vllm",
        # A layer exists on this node only, no registry has it.
        {**instance, "image": layer["tag"], "pull": "never"} if layer else instance,
        docker_arguments(
            instance, data_dir=data_dir, huggingface_dir=huggingface_dir or f"{data_dir}/huggingface", instances_dir=instances_dir
        ),
        entrypoint=None,
        command=command if instance.get("image_has_entrypoint", True) else ["vllm", "serve", *command],
        files={"config.yaml": yaml_text(engine_config(instance))},
        environment={**DEFAULT_ENVIRONMENT, **group_environment(instance)},
        secrets={KEY_VARIABLE: api_key, "HF_TOKEN": huggingface_token if asks_hub(instance) else None},
        probe=None
        if rank
        else {
            "health_path": HEALTH_PATH,
            "model": names[0],
            "api_key_variable": KEY_VARIABLE,
            **({"further_models": list(instance["adapters"])} if instance.get("adapters") else {}),
        },
        watchdog=watchdog,
        drop_page_cache=bool(instance.get("drop_page_cache")),
        limit=cpu_limit_mib(int(instance["memory_mib"])) if on_cpu else instance.get("host_memory_mib"),
        pull_models=[],
        download_entrypoint="python3" if download else None,
        download_command=download,
        check={"entrypoint": "python3", "command": ["-c", CHECK_PROGRAM], "input": "config.yaml"},
        **({"layer": layer} if layer else {}),
        **unit_group(instance),
    )
