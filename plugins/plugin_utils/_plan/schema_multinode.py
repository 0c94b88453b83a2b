# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Engines over several hosts, ``inference_multinode_services``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._engines.vllm_group import GROUP_PORT, MASTER_PORT
from .findings import Fields, Report
from .grammar import HOST_NAME
from .keys import Key, Keys, Schema, integer, list_of, matching, whole_number, with_reader
from .model import INVALID_PORT, Multinode
from .schema_services import ServiceKeys, service_of

SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
_MOST = 64
#: Of a service, so that the highest of its members' ports is one.
LAST_PORT = 65535 - MASTER_PORT


def _hosts(fields: Fields) -> tuple[str, ...]:
    given = fields.texts("hosts", pattern=HOST_NAME, expected="the name of a host of the group inference_nodes")
    raw = fields.data.get("hosts")
    for position, name in enumerate(given):
        if name in given[:position]:
            fields.add(f"hosts[{position}]", name, "is given twice; an engine has one part on each of its hosts")
    hosts = tuple(dict.fromkeys(given))
    if fields.valid and len(hosts) < 2 and len(hosts) == len(given) and (raw is None or isinstance(raw, (list, tuple))):
        message = "must be two hosts or more, of which the first answers; a service on one host belongs into its inference_services"
        fields.add("hosts", list(hosts) or None, message)
    return hosts


def _port(fields: Fields) -> int:
    what = f"a port number (the members take those {GROUP_PORT} and {MASTER_PORT} above it too)"
    return fields.integer("port", 1, LAST_PORT, required=True, what=what) or INVALID_PORT


class MultinodeKeys(Keys):
    model = ServiceKeys.model
    name = ServiceKeys.name
    hosts: Key[tuple[str, ...]] = with_reader(list_of(matching(HOST_NAME)), _hosts, required=True)
    port = with_reader(whole_number(1, LAST_PORT), _port, required=True)
    enabled = ServiceKeys.enabled
    memory = ServiceKeys.memory
    kv_cache_memory = ServiceKeys.kv_cache_memory
    gpus = ServiceKeys.gpus
    device = ServiceKeys.device
    tensor_parallel_size = ServiceKeys.tensor_parallel_size
    pipeline_parallel_size = integer(1, _MOST, what="a number of stages")
    data_parallel_size = integer(1, _MOST, what="a number of replicas")
    shm_size = ServiceKeys.shm_size
    host_memory = ServiceKeys.host_memory
    ready_timeout = ServiceKeys.ready_timeout
    silence_timeout = ServiceKeys.silence_timeout
    stop_timeout = ServiceKeys.stop_timeout
    order = ServiceKeys.order
    weight = ServiceKeys.weight
    container_extra_arguments = ServiceKeys.container_extra_arguments
    engine_args = ServiceKeys.engine_args
    env = ServiceKeys.env
    max_model_len = ServiceKeys.max_model_len
    mounts = ServiceKeys.mounts
    pull = ServiceKeys.pull
    drop_page_cache = ServiceKeys.drop_page_cache


#: What the variable is to an editor.
MULTINODES: Schema = list_of(MultinodeKeys.schema())


def parse_multinodes(raw: Any, report: Report) -> tuple[Multinode, ...]:
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, (list, tuple)):
        example = "{model: big, hosts: [spark1, spark2], port: 8070, memory: 90GiB, tensor_parallel_size: 2}"
        report.add("inference_multinode_services", raw, f"must be a list of services such as {example}")
        return ()
    return tuple(
        _multinode(MultinodeKeys.fields(item, f"inference_multinode_services[{position}]", report)) for position, item in enumerate(raw)
    )


def _multinode(fields: Fields) -> Multinode:
    keys = MultinodeKeys
    hosts, service = keys.hosts.read(fields), service_of(fields, keys.port.read(fields))
    read = {
        "tensor_parallel_size": service.tensor_parallel_size,
        "pipeline_parallel_size": keys.pipeline_parallel_size.read(fields),
        "data_parallel_size": keys.data_parallel_size.read(fields),
    }
    found = Multinode(
        service=replace(service, networks=()),
        hosts=hosts,
        sizes={name: size for name, size in read.items() if size is not None},
    )
    if fields.valid and len(hosts) > 1 and all(read[name] is not None or not fields.has(name) for name in SIZES):
        _check_sizes(fields, found)
    return found


def _check_sizes(fields: Fields, found: Multinode) -> None:
    count = len(found.hosts)
    if not found.sizes:
        fields.add(
            SIZES[0],
            None,
            f"is required, or {' or '.join(SIZES[1:])}: their product is the number of GPUs of all hosts together, "
            f"{count} for {count} hosts with one GPU each",
        )
        return
    name, value = next(iter(found.sizes.items()))
    if found.ranks % count:
        fields.add(
            name, value, f"{found.product} is {found.ranks}, which cannot be divided among {count} hosts; each has the same number of GPUs"
        )
        return
    replicas = found.sizes.get("data_parallel_size", 1)
    if replicas % count and count % replicas:
        message = f"replicas cannot be laid over {count} hosts: give a multiple of the hosts, or a number that divides them"
        fields.add("data_parallel_size", replicas, message)
    given = found.service.gpus
    if given is not None and len(given) != found.per_host:
        message = f"{found.per_host} GPUs are needed on each host ({found.product}, {count} hosts), {len(given)} are given"
        fields.add("gpus", list(given), message)
