# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import gateway_keys
import gateway_upstream
import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway import live
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.live import digest, live_keys, origin_of

KEYS = {"A": "key-of-a", "B": "key-of-b", "REDIS": "password"}


def deployment(model: str = "hosted_vllm/m", base: str = "http://a:8000/v1", key: str | None = "os.environ/A") -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": model, "api_base": base, **({"api_key": key} if key else {})}}


def made(*models: dict[str, Any], **more: Any) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    previous = more.pop("previous", None)
    found = live_keys({"model_list": list(models), **more}, master_key="m", client_keys={"c": "k"}, environment=KEYS, previous=previous)
    return json.loads(found.text), dict(found.placeholders), dict(found.environment)


def test_keys_of_servers_go_to_their_servers_only() -> None:
    keys, words, rest = made(deployment(), deployment(base="https://b/v1", key="os.environ/B"), deployment(base="http://c:1", key=None))
    assert keys["servers"] == {"http://a:8000": {"A": ["key-of-a"]}, "https://b:443": {"B": ["key-of-b"]}, "http://c:1": {}}
    assert words == {"A": "live/A", "B": "live/B"}
    assert rest == {"REDIS": "password"}


def test_callers_are_known_by_the_digest_of_their_keys() -> None:
    keys, _words, _rest = made(previous={"master_key": digest("old"), "client_keys": {"c": digest("before"), "gone": digest("x")}})
    assert keys["master"] == [digest("m"), digest("old")]
    assert keys["clients"] == {"c": [digest("k"), digest("before")]}


def test_the_old_key_of_a_server_stands_behind_the_new_one() -> None:
    keys, _words, _rest = made(deployment(), previous={"environment": {"A": "old", "B": "elsewhere"}})
    assert keys["servers"] == {"http://a:8000": {"A": ["key-of-a", "old"]}}
    keys, _words, _rest = made(deployment(), previous={"environment": {"A": "key-of-a"}})
    assert keys["servers"] == {"http://a:8000": {"A": ["key-of-a"]}}


@pytest.mark.parametrize(
    "config",
    [
        {"model_list": [deployment(model="anthropic/claude")]},  # sends its key in another way
        {"model_list": [deployment(base="os.environ/BASE")]},  # whose key it is, nobody knows
        {"model_list": [deployment()], "litellm_settings": {"cache_params": {"password": "os.environ/A"}}},  # is needed as it is
    ],
)
def test_what_litellm_needs_itself_stays_in_the_environment(config: dict[str, Any]) -> None:
    found = live_keys(config, master_key="m", client_keys={}, environment=KEYS)
    assert found.placeholders == {}
    assert found.environment == KEYS


def test_what_gateways_share_is_in_the_redis_that_litellm_has() -> None:
    router = {"redis_host": "r", "redis_port": 6380, "redis_password": "os.environ/REDIS", "cache_kwargs": {"db": 2, "ssl": True, "x": 1}}

    def made_of(router: Any, limits: Any) -> Any:
        found = live_keys({"router_settings": router}, master_key="m", client_keys={}, environment=KEYS, limits=limits)
        assert found.environment == KEYS
        return json.loads(found.text)

    limited = {"c": {"parallel": 4}}
    found = made_of(router, limited)
    assert found["limits"] == limited
    assert found["redis"] == {"host": "r", "port": 6380, "db": 2, "ssl": True, "password_variable": "REDIS"}
    assert made_of({"redis_host": "r"}, limited)["redis"] == {"host": "r", "port": 6379}
    assert "redis" not in made_of({}, limited)
    assert "limits" not in made_of(router, {})
    assert made_of(router, {})["redis"] == found["redis"], "conversations are placed there, too"


def test_raw_routes_have_keys_too() -> None:
    route = {"path": "/x", "target": "http://a:8000/v1/embeddings", "headers": {"Authorization": "Bearer os.environ/A", "X": "y"}}
    keys, words, _rest = made(general_settings={"pass_through_endpoints": [route]})
    assert keys["servers"] == {"http://a:8000": {"A": ["key-of-a"]}}
    assert words == {"A": "live/A"}


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://vllm-chat:8000/v1", "http://vllm-chat:8000"),
        ("https://Lab.Example/v1", "https://lab.example:443"),
        ("http://[fd00::1]:8000", "http://[fd00::1]:8000"),
        ("http://host:99999", None),
        ("ftp://host", None),
        ("os.environ/X", None),
        ("", None),
        (None, None),
    ],
)
def test_origins(url: Any, origin: str | None) -> None:
    assert origin_of(url) == origin


def test_both_sides_speak_of_the_same() -> None:
    assert (live.LIVE_DIR, live.KEYS_FILE) == (gateway_keys.FOLDER, gateway_keys.FILE)
    assert live.PLACEHOLDER == gateway_upstream.PLACEHOLDER
    for scheme, host, port in (("http", "a", 80), ("https", "B.c", None), ("http", "fd00::1", 1)):
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}/v1"
        assert gateway_upstream.origin_of(scheme, host, port) == origin_of(url)
    keys, _words, _rest = made(deployment(), previous={"environment": {"A": "old"}})
    assert gateway_keys.Keys.from_document(keys).servers == {"http://a:8000": {"A": ("key-of-a", "old")}}
