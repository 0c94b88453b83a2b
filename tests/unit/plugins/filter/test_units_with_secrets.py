# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.llmops.gpu_inference.plugins.filter.units import units_with_secrets
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit, image_layers
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._secrets.secrecy import reference

INSTANCE = {"name": "chat", "model": "a/b", "image": "vllm/vllm-openai:v0.32.0", "port": 8070}


def test_references_become_secret_values() -> None:
    place = reference("inference_models.chat.env.S3_SECRET")
    unit = container_unit({**INSTANCE, "env": {"A": "b", "S3_SECRET": place}}, api_key="key-of-the-engine")
    (found,) = units_with_secrets([unit], {place: "the-secret"})
    assert found["environment"]["A"] == "b"
    assert "S3_SECRET" not in found["environment"]
    assert found["secret_environment"] == {"VLLM_API_KEY": "key-of-the-engine", "S3_SECRET": "the-secret"}
    # What runs stays as it is: whether a variable is secret is nothing to the container.
    before = container_unit({**INSTANCE, "env": {"A": "b", "S3_SECRET": "the-secret"}}, api_key="key-of-the-engine")
    assert want(found).config_hash == want(before).config_hash


def test_a_proxy_with_a_password_is_no_argument_of_a_build() -> None:
    """Arguments can be read in the process list, and stay in the history of the image."""
    env = {"HTTP_PROXY": reference("x"), "HTTPS_PROXY": "http://user:p@proxy:3128", "NO_PROXY": "localhost"}
    (layer,) = image_layers([{**INSTANCE, "image_packages": ["a==1"], "env": env}])
    assert layer["proxy"] == {"NO_PROXY": "localhost"}
