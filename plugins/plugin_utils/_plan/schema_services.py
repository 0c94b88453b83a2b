# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a node runs, ``inference_services``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...module_utils import _docker_flags as docker_flags
from .._engines.vllm_arguments import read_engine_args
from .._secrets.secrecy import is_secret_variable
from .environment import ENVIRONMENT, RESERVED_ENV
from .findings import Fields, Report, Size, parse_size
from .grammar import (
    ANY_TEXT,
    DURATION,
    LABEL,
    NETWORK_EXPECTED,
    NETWORK_NAME,
    NO_CONTROL,
    UNIT_NAME,
    UNIT_NAME_EXPECTED,
    docker_size,
    normal_path,
    target_trouble,
    volume_trouble,
)
from .keys import (
    MAPPING,
    SIZE,
    Key,
    Keys,
    Schema,
    any_of,
    boolean,
    choice,
    integer,
    items,
    list_of,
    matching,
    maybe_boolean,
    size,
    text,
    texts,
    with_reader,
)
from .model import INVALID_PORT, PULL, Mount, Service
from .schema_models import VariantKeys

LEAST_HOST_MEMORY_MIB = 1024
_GPU = r"[0-9]{1,3}|(GPU|MIG)-[0-9A-Za-z/-]+"


def unit_name(model: str) -> str:
    """The name of a service that has none: its model's, in the characters that a unit and a container allow."""
    labels = re.sub(r"[^a-z0-9._-]+", "-", model.lower())[:63].strip("-._").split(".")
    return ".".join(label[:LABEL] for label in labels if label) or "model"


def _gpus(fields: Fields) -> tuple[str, ...] | None:
    if not fields.has("gpus"):
        return None
    found: list[str] = []
    for position, item in enumerate(fields.items("gpus")):
        text = str(item).strip()
        if isinstance(item, bool) or not isinstance(item, (int, str)) or not re.fullmatch(_GPU, text):
            fields.add(f"gpus[{position}]", item, "must be the index or the UUID of a GPU (nvidia-smi -L shows them)")
        elif text in found:
            fields.add(f"gpus[{position}]", item, "is given twice")
        else:
            found.append(text)
    if not found and isinstance(fields.data.get("gpus"), (list, tuple)) and not fields.data["gpus"]:
        fields.add("gpus", [], "is empty; leave it out to let the plan choose, or say device: cpu")
    return tuple(found) or None


def read_shm_size(fields: Fields) -> str | None:
    raw = fields.data.get("shm_size")
    size = docker_size(raw)
    if raw is not None and size is None:
        fields.add("shm_size", raw, "must be a size of 1 MiB at least, such as 16GiB, or in Docker's form 16g")
    return size


def shm_size() -> Key[str | None]:
    """Shared memory of a container, in one of Docker's spellings."""
    return with_reader({"type": ["string", "number"]}, read_shm_size)


def _host_memory(fields: Fields) -> Size | None:
    raw = fields.data.get("host_memory")
    if raw is None or raw is False:
        return None
    size = parse_size(raw)
    if size is None or size.mib is None or size.mib < LEAST_HOST_MEMORY_MIB:
        fields.add("host_memory", raw, "must be a size of 1GiB at least, such as 32GiB, or false for no bound")
        return None
    return size


def _kv_cache_memory(fields: Fields) -> Size | None:
    found = fields.size("kv_cache_memory")
    if found is not None and found.mib is None:
        fields.add("kv_cache_memory", fields.data.get("kv_cache_memory"), "must be a size such as 4GiB")
        return None
    return found


def _container_arguments(fields: Fields) -> tuple[str, ...]:
    arguments = fields.texts("container_extra_arguments", pattern=NO_CONTROL, expected="one argument of docker create")
    by_gpus = dict.fromkeys(("gpus", "runtime"), "use gpus of the service")
    for mistake in docker_flags.refused(arguments, ours=by_gpus, variables=RESERVED_ENV):
        fields.add(f"container_extra_arguments[{mistake.position}]", mistake.shown, mistake.message)
    for flag in docker_flags.read(arguments)[0]:
        variable, _equals, given = flag.value.partition("=")
        if flag.name == "env" and variable not in RESERVED_ENV and is_secret_variable(variable, given):
            fields.add(
                f"container_extra_arguments[{flag.position}]",
                None,
                f"the variable {variable} is a secret, and every user of the host can read arguments of docker; use env of the service",
            )
    return arguments


class MountKeys(Keys):
    source = text(required=True, pattern=ANY_TEXT, expected="an absolute path on the host", schema={"type": "string"})
    target = text(pattern=ANY_TEXT, expected="an absolute path in the container", schema={"type": "string"})
    read_only = boolean(True)


class ServiceKeys(Keys):
    model = text(required=True, expected="the name of a model in inference_models")
    name = text(pattern=UNIT_NAME, expected=UNIT_NAME_EXPECTED)
    port = integer(1, 65535, what="a port number")
    enabled = boolean(True)
    memory = size()
    kv_cache_memory = with_reader(SIZE, _kv_cache_memory)
    gpus = with_reader(list_of(any_of({"type": "integer", "minimum": 0, "maximum": 999}, matching(rf"\s*(?:{_GPU})\s*"))), _gpus)
    device = choice(("gpu", "cpu"), "")
    tensor_parallel_size = integer(1, 64, what="a number of GPUs")
    shm_size = shm_size()
    host_memory = with_reader(any_of(SIZE, {"const": False}), _host_memory)
    ready_timeout = integer(1, 7 * 86400, what=DURATION)
    silence_timeout = integer(0, 7 * 86400, what=DURATION)
    stop_timeout = integer(1, 3600, what=DURATION)
    order = integer(1, 1000)
    weight = integer(1, 1_000_000)
    networks = texts(pattern=NETWORK_NAME, expected=NETWORK_EXPECTED)
    container_extra_arguments = with_reader(list_of({"type": "string"}), _container_arguments)
    engine_args = with_reader(MAPPING, read_engine_args)
    env = ENVIRONMENT
    max_model_len = VariantKeys.max_model_len
    mounts = items(MountKeys.schema())
    pull = choice(PULL, "missing")
    drop_page_cache = maybe_boolean(False)


#: What the variable is to an editor.
SERVICES: Schema = list_of(ServiceKeys.schema())


def parse_services(raw: Any, report: Report) -> tuple[Service, ...]:
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, (list, tuple)):
        report.add("inference_services", raw, "must be a list of services such as {model: chat, port: 8070, memory: 12GiB}")
        return ()
    return tuple(_service(ServiceKeys.fields(item, f"inference_services[{position}]", report)) for position, item in enumerate(raw))


def _service(fields: Fields) -> Service:
    return service_of(fields, ServiceKeys.port.read(fields) or (INVALID_PORT if fields.has("port") else None))


def service_of(fields: Fields, port: int | None) -> Service:
    """A service as its keys say, but for its port, whose range is not the same for all."""
    keys = ServiceKeys
    model = keys.model.read(fields)
    device = keys.device.read(fields) or None
    gpus = keys.gpus.read(fields)
    if device == "cpu" and gpus is not None:
        fields.add("gpus", fields.data.get("gpus"), "contradicts device: cpu; remove one of the two")
        gpus = None
    engine_args, written = keys.engine_args.read(fields)
    return Service(
        path=fields.path,
        model=model,
        name=keys.name.read(fields) or unit_name(model),
        port=port,
        enabled=keys.enabled.read(fields),
        memory=keys.memory.read(fields),
        kv_cache_memory=keys.kv_cache_memory.read(fields),
        gpus=gpus,
        device=device,
        tensor_parallel_size=keys.tensor_parallel_size.read(fields),
        shm_size=keys.shm_size.read(fields),
        host_memory=keys.host_memory.read(fields),
        host_memory_bounded=fields.data.get("host_memory") is not False,
        ready_timeout=keys.ready_timeout.read(fields),
        silence_timeout=keys.silence_timeout.read(fields),
        stop_timeout=keys.stop_timeout.read(fields),
        order=keys.order.read(fields),
        weight=keys.weight.read(fields),
        networks=tuple(dict.fromkeys(keys.networks.read(fields))),
        container_extra_arguments=keys.container_extra_arguments.read(fields),
        engine_args=engine_args,
        written=written,
        env=keys.env.read(fields),
        max_model_len=keys.max_model_len.read(fields),
        mounts=_mounts(fields),
        pull=keys.pull.read(fields),
        drop_page_cache=keys.drop_page_cache.read(fields),
    )


def _mounts(fields: Fields) -> tuple[Mount, ...]:
    found: dict[str, Mount] = {}
    for position, item in enumerate(ServiceKeys.mounts.read(fields)):
        inner = MountKeys.fields(item, fields.where(f"mounts[{position}]"), fields.report)
        source = MountKeys.source.read(inner)
        target = MountKeys.target.read(inner) or source
        troubles = {"source": volume_trouble(source), "target": target_trouble(target)} if source and target else {}
        for key, trouble in troubles.items():
            if trouble and (key == "source" or inner.has(key) or not troubles["source"]):
                inner.add(key, source if key == "source" else target, trouble)
        if not troubles or any(troubles.values()):
            continue
        mount = Mount(source, target, MountKeys.read_only.read(inner))
        if found.setdefault(normal_path(target), mount) is not mount:
            inner.add("target", target, "is the target of another mount too")
    return tuple(found.values())
