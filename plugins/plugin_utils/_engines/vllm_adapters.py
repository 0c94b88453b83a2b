# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""LoRA adapters as vLLM is told of them. Read in vLLM 0.32: config/lora.py, lora/worker_manager.py, entrypoints/launchers/cli_args.py."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .vllm_flags import number, split_key, switched_on

#: Before it vLLM refuses a transcription that names an adapter (vllm#24455).
TRANSCRIPTION_SINCE = (0, 11)


def adapter_flags(adapters: Mapping[str, str], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that make an engine serve adapters beside its model; C(arguments) are the user's, by their keys.

    vLLM's own default is room for one: requests for another wait, and it is read from disk again when their turn comes.
    """
    if not adapters:
        return {}
    kept = number(arguments, "max-cpu-loras")
    slots = number(arguments, "max-loras") or min(len(adapters), kept or len(adapters))
    modules = [_module(name, place) for name, place in adapters.items()]
    more = {"max-cpu-loras": len(adapters)} if kept is None and slots < len(adapters) else {}
    return {"enable-lora": True, "lora-modules": modules, "max-loras": slots, **more}


def _module(name: str, place: str) -> str:
    # What has a comma in it is read as JSON.
    return json.dumps({"name": name, "path": place}) if "," in place else f"{name}={place}"


def adapter_troubles(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The key of each argument that contradicts the adapters of its model, and why it is refused."""
    for key in arguments:
        name = split_key(key).name
        if name == "lora-modules":
            yield key, "the model has adapters too; write these ones there, NAME: PATH, and leave it out"
        elif (name == "enable-lora" and not switched_on(arguments, key)) or (name == "no-enable-lora" and arguments[key] is not False):
            yield key, "the model has adapters, which need it; leave it out, or take adapters out"
