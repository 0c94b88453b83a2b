# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The names of environment variables: those that hold secrets, and those on which the guard stands."""

from __future__ import annotations

import re

#: Of an endpoint that is asked with the master key; what LiteLLM calls so is a key of its own that nobody has.
MASTER_KEY_VARIABLE = "LITELLM_MASTER_KEY"
ENGINE_KEY = "ENGINE_KEY"
EXTERNAL_KEY = "EXTERNAL_KEY"
REDIS_PASSWORD_VARIABLE = "REDIS_PASSWORD"  # noqa: S105 -- a name, not a password
#: Where the guard looks for the keys; only its tests say another folder.
LIVE_FOLDER_VARIABLE = "GATEWAY_LIVE_FOLDER"
#: Secrets of the gateway itself, which no other server gets to see.
OWN_VARIABLES = frozenset({MASTER_KEY_VARIABLE, REDIS_PASSWORD_VARIABLE})
STARTUP_HOOK_VARIABLE = "LITELLM_WORKER_STARTUP_HOOKS"
#: On these the guard stands: no variable of the user's own, secret or not, takes their place.
GUARD_VARIABLES = frozenset({STARTUP_HOOK_VARIABLE, MASTER_KEY_VARIABLE, LIVE_FOLDER_VARIABLE})


def key_variable(prefix: str, name: str) -> str:
    """The environment variable that holds somebody's key: C(ENGINE_KEY_GPU_1) for C(gpu-1)."""
    return f"{prefix}_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
