# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments for a module that a test calls in its own process, with every ansible-core from 2.17."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.module_utils import basic

try:
    from ansible.module_utils.testing import patch_module_args
except ImportError:  # before ansible-core 2.19

    @contextmanager
    def patch_module_args(module_args: dict[str, Any] | None = None) -> Iterator[None]:
        before = basic._ANSIBLE_ARGS
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": module_args or {}}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = before


__all__ = ["patch_module_args"]
