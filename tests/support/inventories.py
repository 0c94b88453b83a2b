# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories for the tests of the plan, in the plain form that build_plan reads."""

from __future__ import annotations

from typing import Any

RTX_5090_MIB = 32607


def gpu(index: int = 0, **changes: Any) -> dict[str, Any]:
    base = {
        "index": index,
        "uuid": f"GPU-{index:08d}",
        "name": "NVIDIA GeForce RTX 5090",
        "memory_mib": RTX_5090_MIB,
        "compute_capability": "12.0",
        "mig": [],
    }
    return {**base, **changes}


def dgpu(*gpus: dict[str, Any], **changes: Any) -> dict[str, Any]:
    base = {
        "platform": "dgpu",
        "architecture": "x86_64",
        "memory_mib": 65536,
        "unified_memory": False,
        "driver": {"version": "590.44.01", "cuda": "13.1", "state": "ok", "message": ""},
        "gpus": list(gpus) or [gpu()],
        "l4t": None,
    }
    return {**base, **changes}


def cpu(**changes: Any) -> dict[str, Any]:
    base = {
        "platform": "cpu",
        "architecture": "x86_64",
        "memory_mib": 16384,
        "unified_memory": False,
        "driver": {"state": "none"},
        "gpus": [],
    }
    return {**base, **changes}


def jetson(release: str = "36.4.7", **changes: Any) -> dict[str, Any]:
    base = {
        "platform": "jetson",
        "architecture": "aarch64",
        "memory_mib": 62800,
        "unified_memory": True,
        "driver": {"version": "540.4.0", "state": "ok"},
        "gpus": [{"index": 0, "uuid": None, "name": "Orin (nvgpu)", "memory_mib": None, "compute_capability": "8.7", "mig": []}],
        "l4t": {"release": release, "jetpack": ""},
    }
    return {**base, **changes}


def spark(**changes: Any) -> dict[str, Any]:
    base = dgpu(
        gpu(name="NVIDIA GB10", memory_mib=None, compute_capability="12.1"), architecture="aarch64", memory_mib=124610, unified_memory=True
    )
    return {**base, **changes}


MODELS: dict[str, Any] = {
    "chat": {"source": "Qwen/Qwen3-8B"},
    "embedding": {"source": "intfloat/multilingual-e5-small", "capability": "embedding"},
}


def variables(*services: Any, **changes: Any) -> dict[str, Any]:
    return {"inference_models": MODELS, "inference_services": list(services), **changes}


def service(model: str = "chat", port: Any = 8070, **changes: Any) -> dict[str, Any]:
    return {"model": model, "port": port, **changes}


def host(*groups: str, hardware: dict[str, Any] | None = None, known: dict[str, Any] | None = None, **variables_: Any) -> dict[str, Any]:
    return {"groups": list(groups) or ["inference_nodes"], "vars": variables_, "hardware": hardware, "known_hardware": known}


def inventory(in_play: Any = None, **hosts: Any) -> dict[str, Any]:
    return {"hosts": hosts, "in_play": list(hosts) if in_play is None else in_play}


def one(*services: Any, hardware: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """One node that is its own gateway."""
    return inventory(node1=host("inference_nodes", "gateways", hardware=hardware or dgpu(), **variables(*services, **changes)))


def everything() -> dict[str, Any]:
    """One host that is node, gateway and client, with a value for most of what can be said."""
    return inventory(
        node1=host(
            "inference_nodes",
            "gateways",
            "inference_clients",
            hardware=dgpu(),
            **variables(
                service(memory="8GiB", order=1, weight=2, mounts=[{"source": "/srv"}], container_extra_arguments=["--init"]),
                service(
                    "embedding",
                    8071,
                    memory="4GiB",
                    gpus=[0],
                    kv_cache_memory="1GiB",
                    shm_size="2GiB",
                    host_memory="9GiB",
                    max_model_len=512,
                ),
                service("small", 11434, memory="4GiB", env={"A": 1}, networks=["inference"]),
                inference_models={
                    "chat": {
                        "source": "Qwen/Qwen3-8B",
                        "engine": "vllm",
                        "modalities": ["text", "image"],
                        "aliases": ["LLM"],
                        "request_defaults": {"temperature": 0.2, "max_tokens": 4},
                        "max_images": 3,
                        "max_model_len": 4096,
                        "fallbacks": ["small"],
                        "timeout": 5,
                        "engine_args": {"max-num-seqs": 4, "hf-overrides": {"a": 1}},
                        "adapters": {"sql": "/adapters/sql", "support": "org/support"},
                        "on_platform": {"jetson": {"engine": "ollama", "source": "qwen3:4b"}},
                    },
                    "embedding": {"source": "a/e", "capability": "embedding", "modalities": ["text", "image"], "dimension": 8},
                    "small": {"source": "qwen3:4b", "engine": "ollama", "digest": "0123456789ab"},
                },
                inference_model_aliases={"X": "chat"},
                inference_gpu_reserve={"0": "1GiB"},
                inference_network={"name": "inference", "subnet": "10.89.16.0/24"},
                inference_proxy={"http": "http://proxy:3128", "no_proxy": ["localhost"]},
                inference_metrics={"textfile_directory": "/srv/textfile", "exporter_port": 9100},
                inference_gateway={
                    "port": 8401,
                    "bind": "0.0.0.0",
                    "public_url": "https://llm.example",
                    "redis": {"host": "redis", "port": 6380, "db": 2, "username": "u", "password": True, "ssl": True},
                    "client_keys": {
                        "app": {"requests_per_minute": 60, "parallel": 4, "models": ["LLM"]},
                        "programs": None,
                        "prom": {"metrics": True},
                    },
                    "settings": {
                        "litellm_settings": {"num_retries": 1},
                        "router_settings": {"model_group_alias": {"Z": "chat", "Y": {"model": "chat", "hidden": True}}},
                        "general_settings": {"alerting": ["slack"]},
                        "model_list": [{"model_name": "own", "litellm_params": {"model": "openai/own"}}],
                    },
                    "default_fallbacks": ["chat"],
                    "cache": {"ttl": 3},
                    "media": {"allow_data": False, "allowed_domains": ["example.com"]},
                    "health_check_interval": 30,
                    "sticky_sessions": False,
                    "passthrough": [
                        {"path": "/a/b", "model": "chat", "target_path": "/q", "methods": ["POST"], "timeout": 4, "key_variable": "A"},
                        {"path": "/c/d", "target": "http://x/y"},
                    ],
                },
                inference_external_endpoints=[
                    {
                        "name": "lab",
                        "base_url": "http://lab:8000/v1/",
                        "engine": "openai",
                        "api_key": True,
                        "required": True,
                        "models": [
                            "big",
                            {"name": "e5", "model": "o/e5", "capability": "embedding", "order": 1, "aliases": ["E"]},
                            {"name": "coder", "max_model_len": 65536},
                            {"name": "rerank", "capability": "rerank"},
                            {"name": "asr", "capability": "transcription"},
                        ],
                    }
                ],
                inference_clients_config=[
                    {
                        "type": "crawl4ai",
                        "path": "/a",
                        "key": "programs",
                        "owner": "root",
                        "mode": "0600",
                        "location": "host",
                        "base_url": "http://gw:8401/v1",
                        "network": True,
                        "model": "chat",
                        "temperature": 0.1,
                        "provider": "openai",
                        "api_token": True,
                        "variables": {"A": True},
                        "key_names": ["B"],
                        "container": {
                            "image": "own:1",
                            "pull": "missing",
                            "bind": "127.0.0.1",
                            "port": 3,
                            "shm_size": "1g",
                            "networks": ["inference"],
                            "arguments": ["--init"],
                            "start_timeout": 4,
                        },
                    },
                    {
                        "type": "chat_studio",
                        "path": "/b",
                        "key": "programs",
                        "connections": [{"model": "chat", "id": "x", "name": "y", "timeout": 4, "temperature": 0.1, "max_tokens": 5}],
                    },
                    {
                        "type": "metis",
                        "path": "/c",
                        "key": "programs",
                        "model": "chat",
                        "embedding_model": "embedding",
                        "temperature": 0.1,
                        "max_tokens": 10,
                        "embed_dim": 3,
                        "doc_chunk_size": 100,
                        "doc_chunk_overlap": 10,
                        "settings": {"query": {"a": 1}},
                    },
                    {"type": "openai", "path": "/d", "key": "programs"},
                    {"type": "litellm_sdk", "path": "~/e", "key": "programs"},
                    {"type": "claude_code", "path": "/f", "key": "programs", "model": "coder", "small_model": "coder", "max_tokens": 4000},
                    {"type": "codex", "path": "/g", "key": "programs", "model": "coder"},
                    {"type": "opencode", "path": "/h", "key": "programs", "model": "coder", "small_model": "coder", "max_tokens": 4000},
                    {"type": "langchain", "path": "/i", "key": "programs", "model": "chat", "embedding_model": "embedding"},
                    {"type": "llama_index", "path": "/j", "key": "programs", "model": "chat", "embedding_model": "embedding"},
                    {
                        "type": "open_webui",
                        "path": "/k",
                        "key": "programs",
                        "model": "chat",
                        "task_model": "chat",
                        "embedding_model": "embedding",
                        "rerank_model": "rerank",
                        "transcription_model": "asr",
                        "secret_key": True,
                    },
                    {
                        "type": "prometheus",
                        "path": "/l.yml",
                        "key": "prom",
                        "owner": "prometheus",
                        "thresholds": {"failed_percent": 3},
                        "ca_file": "/m",
                    },
                ],
            ),
        )
    )


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """That one with another value in one place."""
    found = everything()
    place = found["hosts"]["node1"]["vars"]
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    place[path[-1]] = value
    return found
