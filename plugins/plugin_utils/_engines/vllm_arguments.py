# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Engine arguments: what may be written, and what an argument asks for that one service on one host cannot give."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._plan.findings import Fields
from .._plan.platform import Device, version_tuple
from .._secrets.secrecy import secrets_in
from .vllm_flags import (
    Flag,
    FlagError,
    field_value,
    number,
    read_flag,
    settings,
    switched_on,
    whole_value,
)
from .vllm_images import VLLM_VERSION

#: Engine arguments that the plan sets itself, and where the user says the same thing instead.
RESERVED_ENGINE_ARGS: Mapping[str, str] = {
    "host": "the engine always listens in its container; remove it",
    "port": "the port is the service's: inference_services[].port",
    "api-key": "engine keys are generated, or taken from inference_engine_key; here they would end up in a world-readable file",
    "served-model-name": "the model's name and its source are served; add further names as aliases of the model",
    "config": "the collection writes the engine's config file itself; give the single arguments here",
    "model": "use source",
    "model-tag": "use source",
    "revision": "use revision of the model",
    "uds": "the gateway reaches engines by TCP; remove it",
    "gpu-memory-utilization": "use memory of the service (a size, or a fraction such as 0.38), so that the sum per GPU is checked",
    "device-memory-utilization": "use memory of the service (a size, or a fraction such as 0.38), so that the sum per GPU is checked",
    "tensor-parallel-size": "use tensor_parallel_size of the service, so that its GPUs are counted",
    "hf-token": "use inference_huggingface_token; here it would end up in a world-readable file",
    "grpc": "engines are asked over HTTP; remove it",
    "ssl-keyfile": "engines speak http behind the gateway; TLS belongs to the node proxy",
    "ssl-certfile": "engines speak http behind the gateway; TLS belongs to the node proxy",
}

#: Each multiplies the GPUs of an engine (vLLM 0.32, config/parallel.py: world_size, and data parallel ranks of that size).
GPU_FACTORS = ("pipeline-parallel-size", "prefill-context-parallel-size", "data-parallel-size")

#: Arguments that vLLM 0.32 no longer knows: it ends with exit code 2. With what takes their place.
GONE_ENGINE_ARGS: Mapping[str, str] = {
    "task": "use runner: pooling (set by itself for embedding and rerank)",
    "disable-log-requests": "remove it; requests are not logged unless enable-log-requests is set",
    "swap-space": "remove it; kv-offloading-size moves KV cache to main memory",
    "device": "remove it; the image decides (device: cpu of the service takes the CPU image)",
    "num-scheduler-steps": "remove it; scheduling is asynchronous now",
    "use-v2-block-manager": "remove it; it is the only one",
    "guided-decoding-backend": "use structured-outputs-config: {backend: ...}",
    "enable-reasoning": "remove it; reasoning-parser is enough",
    "max-seq-len-to-capture": "use compilation-config: {max_cudagraph_capture_size: ...}",
    "worker-use-ray": "use distributed-executor-backend: ray",
    "engine-use-ray": "remove it",
    "rope-scaling": "use hf-overrides: {rope_scaling: ...}",
    "override-pooler-config": "use pooler-config",
    "disable-mm-preprocessor-cache": "use mm-processor-cache-gb: 0",
}
_GONE_SINCE = (0, 20)

_WRONG_VALUE = "must be a text, a number, true or false, a list or a mapping"
#: What vLLM's parser takes for the number that it is, although it begins with a dash.
_NEGATIVE = re.compile(r"-[0-9]+")


def read_engine_args(fields: Fields) -> tuple[dict[str, Any], dict[str, str]]:
    """The arguments by the keys under which all else knows them, and how the user wrote each of those."""
    found: dict[str, Any] = {}
    written: dict[str, str] = {}
    flags: list[Flag] = []
    for key, value in fields.mapping("engine_args").items():
        where = f"engine_args.{key}"
        try:
            flag = read_flag(key)
        except FlagError as error:
            fields.add(where, value, str(error))
            continue
        trouble = _value_trouble(flag, value)
        if flag.name in RESERVED_ENGINE_ARGS:
            fields.add(where, value, f"is set by the collection: {RESERVED_ENGINE_ARGS[flag.name]}")
        elif flag.key in found:
            other = "" if written[flag.key] == key else f", as {written[flag.key]}"
            fields.add(where, value, f"is given twice{other} (- and _ are the same in flags)")
        elif trouble:
            fields.add(where, value, trouble)
        elif secret := next(secrets_in({key: value}, "engine_args", tokens=False), None):
            fields.add(
                secret[0], None, f"{secret[1]} and would end up in the engine's config file; use inference_huggingface_token, or env"
            )
        else:
            flags.append(flag)
            found[flag.key] = flag.value if flag.value is not None and value is not None else value
            written[flag.key] = key
    _contradictions(fields, flags, found, written)
    return found, written


def _value_trouble(flag: Flag, value: Any) -> str | None:
    if flag.value is not None and value not in (True, None):
        return "contains its value already; write true, or optimization-level and the value"
    if not _writable(value):
        return _WRONG_VALUE
    words = value if isinstance(value, (list, tuple)) else (value,)
    for word in () if flag.fields else words:
        text = word if isinstance(word, str) else str(word) if isinstance(word, float) else ""
        # With a blank in it argparse takes it for no flag; a dot makes a key of a configuration of it.
        if text.startswith("-") and text != "-" and (" " not in text or "." in text) and not _NEGATIVE.fullmatch(text):
            return "begins with a dash, so vLLM's parser would take it for a flag"
    return None


def _writable(value: Any) -> bool:
    """Whether a value can be written into YAML and JSON and be read back as it was."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _writable(key) and _writable(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_writable, value))
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value and not re.search("[\ud800-\udfff]", value)
    return value is None or isinstance(value, (bool, int))


def _contradictions(fields: Fields, flags: list[Flag], found: Mapping[str, Any], written: Mapping[str, str]) -> None:
    """What is said twice of one flag in different forms: of a value and of its fields vLLM would take the fields alone."""
    for flag in flags:
        if found[flag.key] is None:
            continue
        opposite = f"no-{flag.name}"
        if flag.fields:
            for message in _against_the_rest(flag, found, written):
                fields.add(f"engine_args.{written[flag.key]}", found[flag.key], message)
        elif found.get(opposite) is not None:
            fields.add(f"engine_args.{written[opposite]}", found[opposite], f"contradicts {written[flag.name]}; keep one of the two")


def _against_the_rest(flag: Flag, found: Mapping[str, Any], written: Mapping[str, str]) -> Iterator[str]:
    """What a field of a flag has against it: the value of a field around it, or of the whole flag."""
    for length in range(1, len(flag.fields)):
        outer = Flag(flag.name, flag.fields[:length]).key
        if found.get(outer) is not None:
            yield f"is a field of {written[outer]}, which is given too; keep one of the two"
    if found.get(flag.name) is None:
        return
    inside: Any = whole_value(found[flag.name])
    if inside is None:
        yield f"is a field of {written[flag.name]}, which is also given and is not a mapping; keep one of the two"
        return
    for name in flag.fields:
        inside = inside.get(name) if isinstance(inside, Mapping) else None
    if inside is not None and not flag.appends and inside != field_value(found[flag.key]):
        yield f"is given in {written[flag.name]} too, with another value; keep one of the two"


# --- what one service on one host cannot give ----------------------------------------------------------------------

_ELSEWHERE = "name it in inference_external_endpoints if you run it yourself"
_ONE_HOST = (
    f"a service is one engine on one host, and this one would wait for others. Declare it in inference_multinode_services, or {_ELSEWHERE}"
)
_PAIR = (
    "the gateway would send each request to one engine of the pair, as to equal replicas, but both have to see it. "
    f"Use {{both}}, or a router in front of the pair: {_ELSEWHERE}"
)


def flag_troubles(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The key of each argument that makes an engine a part of something larger, and why it is refused."""
    least = {"nnodes": 2, "node-rank": 1, "data-parallel-rank": 0, "data-parallel-start-rank": 1}
    for name, bound in least.items():
        value = number(arguments, name)
        if value is not None and value >= bound:
            yield name, f"spreads one engine over several hosts; {_ONE_HOST}"
    for name in ("headless", "data-parallel-external-lb", "data-parallel-hybrid-lb", "data-parallel-multi-port-external-lb"):
        if switched_on(arguments, name):
            yield name, f"is for one engine over several hosts; {_ONE_HOST}"
    local, size = number(arguments, "data-parallel-size-local"), number(arguments, "data-parallel-size") or 1
    if local is not None and local != size:
        yield "data-parallel-size-local", f"is not the data-parallel-size ({size}), so other ranks run on other hosts; {_ONE_HOST}"
    yield from half_troubles(arguments)


def half_troubles(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What makes an engine one half of a pair."""
    for name, both in (("kv-transfer-config", "kv_role: kv_both"), ("ec-transfer-config", "ec_role: ec_both")):
        for path, role in _roles(settings(arguments, name)):
            if not both.endswith(f" {role}"):
                key = next((key for key in (f"{name}.{path}", name) if key in arguments), name)
                yield key, f"{path.rpartition('.')[2]} {role} makes this engine one half of a pair; {_PAIR.format(both=both)}"
                break


def _roles(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where a role is said, in a connector or in one of those that it holds."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            inner = f"{path}.{key}" if path else str(key)
            if key in ("kv_role", "ec_role") and isinstance(value, str):
                yield inner, value
            else:
                yield from _roles(value, inner)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _roles(value, path)


# --- what follows from the hardware ----------------------------------------------------------------------------------

#: From this size on, A100 apart, vLLM batches 8192 tokens instead of 2048 (get_batch_defaults in arg_utils.py, vLLM 0.32).
_LARGE_GPU_MIB = 70 * 1024
_LARGE_BATCH = 8192
#: A smaller slice of such a GPU has no room for what a larger batch takes.
_LEAST_SLICE_MIB = 19 * 1024


def slice_arguments(device: Device, capability: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be said to an engine in a MIG slice, where vLLM may not ask for the GPU's size and takes a small one's (vllm#55381).

    Not where a batch has to hold a whole prompt: pooling models, and chunked prefill that is switched off.
    """
    said = {key.removeprefix("no-") for key in arguments} & {"max-num-batched-tokens", "enable-chunked-prefill"}
    large = (device.whole_mib or 0) >= _LARGE_GPU_MIB and "A100" not in device.name and (device.memory_mib or 0) >= _LEAST_SLICE_MIB
    return {"max-num-batched-tokens": _LARGE_BATCH} if device.is_slice and large and capability == "chat" and not said else {}


def gone_arguments(arguments: Mapping[str, Any], engine_version: str | None) -> list[tuple[str, str]]:
    """The arguments that this version of vLLM refuses, with what to write instead. An unknown version counts as current."""
    version = version_tuple(engine_version)
    if version is not None and version < _GONE_SINCE:
        return []
    shown = engine_version or VLLM_VERSION
    found = [
        (name, f"vLLM {shown} no longer has this flag; {GONE_ENGINE_ARGS[name.partition('.')[0]]}")
        for name in arguments
        if name.partition(".")[0] in GONE_ENGINE_ARGS
    ]
    if "level" in settings(arguments, "compilation-config"):
        key = "compilation-config.level" if "compilation-config.level" in arguments else "compilation-config"
        found.append((key, f"vLLM {shown} no longer has its key level; use optimization-level: 0 to 3"))
    return found
