# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The options of container_units."""

from __future__ import annotations

PROBE = {
    "base_url": {"type": "str", "required": True},
    "health_path": {"type": "str", "default": "/health"},
    "level": {"type": "str", "choices": ["open", "health", "model", "answer"], "default": "answer"},
    "capability": {"type": "str", "choices": ["chat", "embedding", "rerank", "transcription"], "default": "chat"},
    "model": {"type": "str"},
    "further_models": {"type": "list", "elements": "str"},
    "speaks": {"type": "str", "choices": ["openai", "tei"]},
    "modalities": {"type": "list", "elements": "str", "default": []},
    "api_key_variable": {"type": "str", "no_log": False},
    "dimension": {"type": "int"},
    "ca_path": {"type": "str"},
}

CHECK = {
    "entrypoint": {"type": "str"},
    "command": {"type": "list", "elements": "str", "default": []},
    "input": {"type": "str"},
}

MEMBER = {"host": {"type": "str", "required": True}, "address": {"type": "str", "required": True}}

GROUP = {
    "rank": {"type": "int", "required": True},
    "port": {"type": "int", "required": True},
    "digest": {"type": "str", "required": True},
    "key_variable": {"type": "str", "required": True, "no_log": False},
    "members": {"type": "list", "elements": "dict", "required": True, "options": MEMBER},
}

INSTANCE = {
    "kind": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "pull": {"type": "str", "choices": ["missing", "always", "never"], "default": "missing"},
    "entrypoint": {"type": "str"},
    "command": {"type": "list", "elements": "str", "default": []},
    "docker_arguments": {"type": "list", "elements": "str", "default": []},
    "networks": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "dict", "default": {}},
    "environment": {"type": "dict", "default": {}},
    "secret_environment": {"type": "dict", "default": {}, "no_log": True},
    "live_files": {"type": "dict", "default": {}},
    "secret_live_files": {"type": "dict", "default": {}, "no_log": True},
    "live_owner": {"type": "str", "default": "0"},
    "locks": {"type": "list", "elements": "str", "default": []},
    "probe": {"type": "dict", "options": PROBE},
    "start_timeout": {"type": "float", "default": 900},
    "silence_timeout": {"type": "float", "default": 600},
    "stop_timeout": {"type": "float", "default": 60},
    "watchdog": {"type": "float", "default": 0},
    "drop_page_cache": {"type": "bool", "default": False},
    "memory_limit_mib": {"type": "int"},
    "group": {"type": "dict", "options": GROUP},
    "handover_socket": {"type": "path"},
    "pull_models": {"type": "list", "elements": "str", "default": []},
    "download_entrypoint": {"type": "str"},
    "download_command": {"type": "list", "elements": "str", "default": []},
    "check": {"type": "dict", "options": CHECK},
    "layer": {"type": "dict"},
    "afterwards": {"type": "dict"},
    "restart_limit": {"type": "int", "default": 5},
}

PROOF = {
    "speed": {"type": "float", "default": 0.8},
    "similarity": {"type": "float", "default": 0.5},
    "cosine": {"type": "float", "default": 0.98},
    "rounds": {"type": "int", "default": 5},
    "timeout": {"type": "float", "default": 120},
    "answers": {"type": "dict", "default": {}},
    "audio": {"type": "dict", "default": {}, "no_log": True},
}

ARGUMENTS = {
    "instances": {"type": "list", "elements": "dict", "required": True, "options": INSTANCE},
    "kinds": {"type": "list", "elements": "str", "required": True},
    "purge": {"type": "bool", "default": True},
    "prefetch": {"type": "bool", "default": False},
    "live_only": {"type": "bool", "default": False},
    "restart": {"type": "bool", "default": True},
    "proof": {"type": "dict", "options": PROOF},
    "boots_proved": {"type": "bool", "default": False},
    "releases": {"type": "dict", "default": {}},
    "later": {"type": "list", "elements": "str", "default": []},
    "checked": {"type": "dict", "default": {}},
    "lock_timeout": {"type": "float", "default": 600},
    "gpu_lock_timeout": {"type": "float", "default": 900},
    "state_dir": {"type": "path", "default": "/etc/gpu-inference/instances"},
    "runtime_dir": {"type": "path", "default": "/run/gpu-inference"},
    "units_dir": {"type": "path", "default": "/etc/systemd/system"},
    "docker": {"type": "str", "default": "docker"},
    "systemctl": {"type": "str", "default": "systemctl"},
    "_run": {"type": "dict"},
}
