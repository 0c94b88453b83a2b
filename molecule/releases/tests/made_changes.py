# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes that are made on purpose: bad ones, which must not stay, and harmless ones, which must, as extra variables of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from one_gpu_node import MODELS, NODE, SERVICES, VARIABLES

IMAGE = "registry.testbed:5000/vllm/vllm-openai"


def changed(env: Mapping[str, str] | None = None, **service: Any) -> dict[str, Any]:
    """The service with changes."""
    return {"inference_services": [{**SERVICES[0], **service, "env": {**SERVICES[0]["env"], **(env or {})}}]}


def played(trouble: str) -> dict[str, Any]:
    return changed({"PLAYED": trouble})


def other_model(**model: Any) -> dict[str, Any]:
    """The model with changes; what is none goes."""
    return {"inference_models": {"chat": {key: value for key, value in {**MODELS["chat"], **model}.items() if value is not None}}}


def with_own_prompts(change: dict[str, Any]) -> dict[str, Any]:
    """What another model may say only its user knows."""
    rollout = VARIABLES["inference_rollout"]
    answers = {"chat": [{"prompt": "Hello", "contains": "tiny-chat"}]}
    return {**change, "inference_rollout": {**rollout, "proof": {**rollout["proof"], "answers": answers}}}


def without_tools() -> dict[str, Any]:
    return {key: value for key, value in MODELS["chat"]["engine_args"].items() if "tool" not in key}


@dataclass(frozen=True)
class Bad:
    """A change that does not hold, and what is told of it. C(stops): whether the engine before it stops for it at all."""

    said: str
    change: dict[str, Any]
    ci: bool = False
    stops: bool = True


#: With the host that goes down in the middle of a change, a test of its own, these are the twelve, and one more of the tools.
BAD = {
    "garbage": Bad("is answered with '!!!", played("garbage"), ci=True),
    "does not start": Bad("kv_cache_too_small", changed({"TINY_KV": "8K"}), ci=True),
    "slow": Bad("tokens per second", played("slow"), ci=True),
    "answers otherwise": Bad("like those before", played("other")),
    "silent": Bad("is answered with ''", played("silent")),
    "crashes": Bad("failed", played("crash")),
    "wrong model": Bad("does not contain 'tiny-chat'", with_own_prompts(other_model(source="/srv/models/tiny-vision"))),
    "smaller context": Bad(
        "a context of 512 tokens, 2048 before",
        other_model(max_model_len=None, engine_args={**MODELS["chat"]["engine_args"], "hf-overrides": {"max_position_embeddings": 512}}),
    ),
    "no tool parser": Bad("'tool': HTTP 400", other_model(engine_args=without_tools())),
    "another tool parser": Bad("tool get_weather is not called any more", changed(engine_args={"tool-call-parser": "pythonic"})),
    "image is gone": Bad(
        "cannot pull registry.testbed:5000/vllm/vllm-openai:v0.32.0-gone", other_model(image=f"{IMAGE}:v0.32.0-gone"), stops=False
    ),
    "refused by the image": Bad("refuses the new configuration", changed(engine_args={"kv-cache-dtype": "nonsense"}), stops=False),
}


@dataclass(frozen=True)
class Harmless:
    """What users do. C(model), C(service): on top of what those before have changed. C(restarts): whether it makes another container."""

    model: Mapping[str, Any]
    service: Mapping[str, Any]
    more: Mapping[str, Any]
    restarts: bool = True
    tags: str = "engines"


def harmless(restarts: bool = True, tags: str = "engines", model: Mapping[str, Any] | None = None, **service: Any) -> Harmless:
    more = {key: service.pop(key) for key in list(service) if key.startswith("inference_")}
    return Harmless(model or {}, service, more, restarts, tags)


HARMLESS = {
    "longer context": harmless(model={"max_model_len": 4096}),
    "variable": harmless(env={**SERVICES[0]["env"], "HARMLESS": "1"}),
    "more memory": harmless(memory="2560MiB"),
    "log level": harmless(engine_args={"uvicorn-log-level": "warning"}),
    "fewer sequences": harmless(engine_args={"uvicorn-log-level": "warning", "max-num-seqs": 8}),
    "time to stop": harmless(stop_timeout=45, ready_timeout=900),
    "patience": harmless(restarts=False, silence_timeout=300),
    "label and folder": harmless(
        container_extra_arguments=[*SERVICES[0]["container_extra_arguments"], "--label=team=search", "--volume=/opt/more:/opt/more:ro"]
    ),
    "image under another tag": harmless(model={"image": f"{IMAGE}:v0.32.0-again", "engine_version": "0.32.0"}),
    "adapter": harmless(tags="engines,litellm", model={"adapters": {"sql": "/srv/adapters/sql"}}),
    "alias": harmless(restarts=False, tags="engines,litellm", model={"aliases": ["LLM"]}),
    "key": harmless(tags="engines,litellm,node_proxy,retire_keys", inference_rotate=[f"engine_keys/{NODE}"]),
}
