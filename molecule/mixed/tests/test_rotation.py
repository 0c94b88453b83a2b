# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every key of the deployment changes while clients send requests, and none of these fails."""

from __future__ import annotations

import json

import pytest
import testinfra
from deployment import (
    BOARD,
    GATEWAY,
    NAMES,
    PLATFORMS,
    SECRETS,
    SERVER,
    VARIABLES,
    ask,
    asked_all_the_time,
    begun_and_ready,
    keys,
    site,
    started,
)


@pytest.fixture(scope="module")
def rotated() -> tuple[dict[str, str], dict[str, str]]:
    """Old keys and new ones, after all of the test's first part."""
    old = keys()
    client, gateways = old["client_keys/applications"], [started(node, "litellm-gateway") for node in (SERVER, GATEWAY)]
    with asked_all_the_time(
        (SERVER, client, "chat"), (GATEWAY, client, "chat"), (GATEWAY, old["master_key"], "chat"), (SERVER, client, "embedding")
    ) as told:
        site("-e", "inference_rotate=all", "--skip-tags", "retire_keys")
    assert set(told) == {"200"}
    assert [started(node, "litellm-gateway") for node in (SERVER, GATEWAY)] == gateways
    assert keys() == old, "the old ones are good until all is done"
    new = {name: (SECRETS / ".pending" / name).read_text().strip() for name in NAMES}
    return old, new


def test_no_request_fails_while_every_key_changes(rotated: tuple[dict[str, str], dict[str, str]]) -> None:
    old, new = rotated
    assert all(old[name] != new[name] for name in NAMES)
    openai = testinfra.get_host(f"docker://{GATEWAY}").file("/etc/clients/openai.env").content_string
    assert new["client_keys/applications"] in openai
    for name in ("master_key", "client_keys/applications"):
        for key in (old[name], new[name]):
            assert ask(GATEWAY, key, "chat") == "200"


def test_at_the_end_the_old_keys_are_good_for_nothing(rotated: tuple[dict[str, str], dict[str, str]]) -> None:
    old, new = rotated
    client = new["client_keys/applications"]
    with asked_all_the_time((SERVER, client, "chat"), (GATEWAY, client, "embedding")) as told:
        site()
    assert set(told) == {"200"}
    assert keys() == new
    for host in (SERVER, GATEWAY):
        for name in ("master_key", "client_keys/applications"):
            assert ask(host, new[name], "chat") == "200"
            assert ask(host, old[name], "chat").startswith("401")
    direct = f"http://{PLATFORMS[BOARD]}:11434/v1/models"
    asking = "curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer {}' {}"
    gateway = testinfra.get_host(f"docker://{GATEWAY}")
    for key, status in ((new, "200"), (old, "401")):
        command = asking.replace("{}", key[f"engine_keys/{BOARD}"], 1).replace("{}", direct, 1)
        assert gateway.check_output(command) == status


def test_both_gateways_change_one_after_the_other_and_refuse_nothing() -> None:
    """A setting that makes another container of each."""
    changed = {**VARIABLES["group_vars"]["gateways"]["inference_gateway"], "settings": {"router_settings": {"cooldown_time": 31}}}
    client = keys()["client_keys/applications"]
    before = [started(node, "litellm-gateway") for node in (SERVER, GATEWAY)]
    with asked_all_the_time((SERVER, client, "chat"), (GATEWAY, client, "chat"), (GATEWAY, client, "embedding")) as told:
        site("-e", json.dumps({"inference_gateway": changed}), "--tags", "litellm")
    assert set(told) == {"200"}
    after = [started(node, "litellm-gateway") for node in (SERVER, GATEWAY)]
    assert not set(before) & set(after)
    # Each is the second container of its host, whose first one has the port.
    assert [started(node, "litellm-gateway-port") for node in (SERVER, GATEWAY)] == before
    (_first, ready), (second, _ready) = sorted(begun_and_ready(node, "litellm@gateway") for node in (SERVER, GATEWAY))
    assert ready < second
