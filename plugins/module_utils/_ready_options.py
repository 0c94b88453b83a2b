# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The options of endpoint_ready, for the module and for its action plugin."""

from __future__ import annotations

import typing as t

from ansible_collections.llmops.gpu_inference.plugins.module_utils._probe import CAPABILITIES, DIALECTS, LEVELS
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_watch import STATE_DIR


def argument_spec() -> dict[str, t.Any]:
    return {
        "endpoints": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "base_url": {"type": "str", "required": True},
                "health_path": {"type": "str", "default": "/health"},
                "level": {"type": "str", "choices": list(LEVELS), "default": "answer"},
                "capability": {"type": "str", "choices": list(CAPABILITIES), "default": "chat"},
                "modalities": {"type": "list", "elements": "str", "default": []},
                "model": {"type": "str"},
                "further_models": {"type": "list", "elements": "str", "default": []},
                "speaks": {"type": "str", "choices": list(DIALECTS), "default": "openai"},
                "api_key": {"type": "str", "no_log": True},
                "dimension": {"type": "int"},
                "unit": {"type": "str"},
                "config_hash": {"type": "str"},
                "required": {"type": "bool", "default": True},
                "validate_certs": {"type": "bool", "default": True},
                "ca_path": {"type": "path"},
                "ca": {"type": "str"},
            },
        },
        "timeout": {"type": "int", "default": 900},
        "interval": {"type": "float", "default": 1.0},
        "request_timeout": {"type": "float", "default": 30.0},
        "container": {"type": "str"},
        "progress": {"type": "bool", "default": True},
        "state_dir": {"type": "path", "default": STATE_DIR},
    }
