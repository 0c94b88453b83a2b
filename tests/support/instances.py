# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An instance as the reconciler writes it, and its container as Docker shows it."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _instance_spec as instance_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Container
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import Spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER

SERVICE: dict[str, t.Any] = {
    "owner": OWNER,
    "kind": "vllm",
    "name": "chat",
    "image": "vllm/vllm-openai:v0.32.0",
    "config_hash": "abc",
    "command": ["--config", "/etc/vllm/config.yaml"],
    "docker_arguments": ["--init", "--publish=127.0.0.1:8070:8000", "-p", "127.0.0.1:9000:9000", "--shm-size=1g"],
    "networks": ["inference_engines", "extra"],
    "locks": ["GPU-b", "GPU-a", "GPU-b"],
    "probe": {"base_url": "http://127.0.0.1:8070/v1", "model": "chat", "api_key_variable": "VLLM_API_KEY"},
    "secret_names": ["VLLM_API_KEY"],
    "a_key_of_the_future": 1,
}


def spec(**changes: t.Any) -> Spec:
    return instance_spec.parse_spec(json.dumps({**SERVICE, **changes}), "vllm", "chat")


def container(**changes: t.Any) -> Container:
    labels = {LABEL + "owner": OWNER, LABEL + "instance": "vllm/chat", LABEL + "config-hash": "abc", LABEL + "locks": "GPU-a,GPU-b"}
    labels.update({LABEL + key.replace("_", "-"): value for key, value in changes.pop("labels", {}).items()})
    return replace(Container("c1", "vllm-chat", True, 0, False, labels), **changes)
