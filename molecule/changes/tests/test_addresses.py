# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses at which something else answers, or nothing."""

from __future__ import annotations

import pytest
from one_gpu_node import engine_key, measured, module


@pytest.mark.parametrize(
    ("cause", "remedy", "changes"),
    [
        pytest.param("tls_mismatch", "Change the scheme", {"base_url": "https://127.0.0.1:8070/v1"}, id="https-to-http"),
        pytest.param("auth", "not the key of this server", {"api_key": "sk-wrong-key-wrong-key"}, id="wrong-key"),
        pytest.param("not_openai", "in /v1", {"base_url": "http://127.0.0.1:8070"}, id="without-v1"),
        pytest.param("dns", "Correct the host name", {"base_url": "http://no-such-host.invalid:8070/v1"}, id="unresolvable"),
        pytest.param("wrong_model", "Correct the model name", {"model": "other"}, id="wrong-model"),
    ],
)
def test_a_wrong_address_is_told_with_its_cause(cause: str, remedy: str, changes: dict[str, str]) -> None:
    endpoint = {"name": "engine", "base_url": "http://127.0.0.1:8070/v1", "model": "chat", "api_key": engine_key(), **changes}
    result, waited = module("endpoint_ready", endpoints=[endpoint], timeout=300, progress=False)
    assert result["failed"], result
    assert f": {cause}\n" in result["msg"], result["msg"]
    assert remedy in result["msg"]
    assert engine_key() not in result["msg"]
    assert waited < 15
    measured(f"{cause}", until_the_module_failed=waited)
