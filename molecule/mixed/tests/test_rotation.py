# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every key of the deployment changes while clients send requests, and none of these fails."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SECRETS = EPHEMERAL / "secrets"
PLATFORMS = {item["name"]: item["ip"] for item in yaml.safe_load((PROJECT / "molecule/mixed/molecule.yml").read_text())["platforms"]}
SERVER, BOARD, GATEWAY = PLATFORMS
NAMES = ("master_key", "client_keys/applications", f"engine_keys/{SERVER}", f"engine_keys/{BOARD}")


def keys() -> dict[str, str]:
    return {name: (SECRETS / name).read_text().strip() for name in NAMES}


def site(*arguments: str) -> None:
    done = subprocess.run(
        ["ansible-playbook", "-i", str(EPHEMERAL / "inventory"), str(PROJECT / "site.yml"), *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


def ask(host: str, key: str, model: str) -> str:
    """What became of one request: its status, and for one that failed what was said."""
    path, body = "embeddings", {"model": model, "input": str(time.monotonic())}
    if model == "chat":
        path, body = "chat/completions", {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    try:
        reply = requests.post(
            f"http://{PLATFORMS[host]}:8400/v1/{path}", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=120
        )
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}"
    return "200" if reply.ok else f"{reply.status_code} {reply.text[:200]}"


@contextmanager
def asked_all_the_time(*who: tuple[str, str, str]) -> Iterator[Counter[str]]:
    """Loops of requests by gateway, key and model; what became of them."""
    told: Counter[str] = Counter()
    done = threading.Event()

    def loop(host: str, key: str, model: str) -> None:
        while not done.is_set():
            told[ask(host, key, model)] += 1
            time.sleep(0.2)

    threads = [threading.Thread(target=loop, args=one) for one in who]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        done.set()
        for thread in threads:
            thread.join()
        print(f"\n{dict(told)}")


def started(node: str, container: str) -> str:
    host = testinfra.get_host(f"docker://{node}")
    return str(host.check_output(f"docker inspect --format '{{{{.State.StartedAt}}}}' {container}"))


def begun_and_ready(node: str) -> tuple[float, float]:
    """When the container of a gateway was started, and when its launcher called it ready."""
    host = testinfra.get_host(f"docker://{node}")
    begun = float(host.check_output(f"date --date {started(node, 'litellm-gateway')} +%%s.%%N"))
    state = json.loads(host.check_output("cat /run/gpu-inference/state/litellm@gateway.json"))
    return begun, float(state["ready_at"])


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
    described = yaml.safe_load((PROJECT / "molecule/mixed/molecule.yml").read_text())["provisioner"]["inventory"]["group_vars"]
    changed = {**described["gateways"]["inference_gateway"], "settings": {"router_settings": {"cooldown_time": 31}}}
    client = keys()["client_keys/applications"]
    before = [started(node, "litellm-gateway") for node in (SERVER, GATEWAY)]
    with asked_all_the_time((SERVER, client, "chat"), (GATEWAY, client, "chat"), (GATEWAY, client, "embedding")) as told:
        site("-e", json.dumps({"inference_gateway": changed}), "--tags", "litellm")
    assert set(told) == {"200"}
    after = [started(node, "litellm-gateway") for node in (SERVER, GATEWAY)]
    assert not set(before) & set(after)
    # Each is the second container of its host, whose first one has the port.
    assert [started(node, "litellm-gateway-port") for node in (SERVER, GATEWAY)] == before
    (_first, ready), (second, _ready) = sorted(begun_and_ready(node) for node in (SERVER, GATEWAY))
    assert ready < second
