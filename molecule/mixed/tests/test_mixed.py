# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One chat model on two engine hosts behind two gateways: what a client sees when hosts go, and what a stranger may not.

The tests run in the order in which they stand: the last ones take hosts away and bring them back.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PLATFORMS = {item["name"]: item["ip"] for item in yaml.safe_load((PROJECT / "molecule/mixed/molecule.yml").read_text())["platforms"]}
SERVER, BOARD, GATEWAY = PLATFORMS
ON_SERVER, ON_BOARD = f"chat-{SERVER}", f"chat-{BOARD}"
REPLIES = {ON_SERVER: "Hello from tiny-chat.", ON_BOARD: "Hello from qwen3:4b-instruct."}
URL = f"http://{PLATFORMS[GATEWAY]}:8400"
SECOND_URL = f"http://{PLATFORMS[SERVER]}:8400"
ENGINES = {SERVER: f"http://{PLATFORMS[SERVER]}:8070", BOARD: f"http://{PLATFORMS[BOARD]}:11434"}
REQUESTS = 40

server = testinfra.get_host(f"docker://{SERVER}")
board = testinfra.get_host(f"docker://{BOARD}")
gateway = testinfra.get_host(f"docker://{GATEWAY}")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def secret(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(EPHEMERAL / 'secrets' / name).read_text().strip()}"}


@pytest.fixture(scope="module")
def client() -> dict[str, str]:
    """The key that the client's own file holds."""
    lines = gateway.check_output("cat /etc/clients/openai.env").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    assert found["OPENAI_BASE_URL"] == f"{URL}/v1"
    return {"Authorization": f"Bearer {found['OPENAI_API_KEY']}"}


def chat(headers: dict[str, str], model: str = "chat", *, url: str = URL) -> requests.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
    return requests.post(f"{url}/v1/chat/completions", headers=headers, json=body, timeout=120)


def embed(headers: dict[str, str], *texts: str, url: str = URL) -> requests.Response:
    return requests.post(f"{url}/v1/embeddings", headers=headers, json={"model": "embedding", "input": list(texts)}, timeout=180)


@dataclass
class Tally:
    """What a client saw over many requests."""

    served: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def ask(self, headers: dict[str, str], url: str = URL) -> None:
        began = time.monotonic()
        try:
            reply = chat(headers, url=url)
            backend = reply.headers.get("x-litellm-model-id", "")
            if reply.status_code != 200:
                self.failed.append(f"{reply.status_code} {reply.text[:200]}")
            elif reply.json()["choices"][0]["message"]["content"].strip() != REPLIES[backend]:
                self.failed.append(f"{backend} said {reply.text[:200]}")
            else:
                self.served[backend] += 1
        except requests.RequestException as error:
            self.failed.append(str(error))
        self.seconds.append(time.monotonic() - began)

    def say(self, what: str) -> None:
        ordered = sorted(self.seconds)
        print(
            f"\n{what}: {len(ordered)} requests, {len(self.failed)} failed, served by {dict(self.served)}, "
            f"median {ordered[len(ordered) // 2]:.2f} s, slowest {ordered[-1]:.2f} s"
        )


def loop(what: str, headers: dict[str, str], event: Callable[[], object]) -> Tally:
    """Requests one after the other, with the event after a quarter of them."""
    tally = Tally()
    for number in range(REQUESTS):
        if number == REQUESTS // 4:
            event()
        tally.ask(headers)
    tally.say(what)
    assert tally.failed == []
    return tally


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 240) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"after {seconds:.0f} s still not: {what}"
        time.sleep(2)
    print(f"\n{what} after {time.monotonic() - began:.0f} s")


def through(node: Any, url: str, headers: dict[str, str], method: str = "GET", body: object = None) -> int:
    """The status that a program on this node gets, path sent as it is spelt."""
    program = (
        "import http.client, json, sys; method, host, path, headers, body = json.load(sys.stdin); "
        "link = http.client.HTTPConnection(host, timeout=20); link.request(method, path, body, headers); print(link.getresponse().status)"
    )
    host, _slash, path = url.removeprefix("http://").partition("/")
    text = json.dumps([method, host, "/" + path, {**headers, "Content-Type": "application/json"}, json.dumps(body) if body else None])
    return int(node.check_output("printf %%s %s | python3 -c %s", text, program))


# --- everybody is there


@pytest.mark.parametrize("model", ["chat", "LLM", "/srv/models/tiny-chat", "qwen3:4b-instruct"])
def test_chat_is_served_by_the_first_in_order(client: dict[str, str], model: str) -> None:
    reply = chat(client, model)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-litellm-model-id"] == ON_SERVER
    assert reply.json()["choices"][0]["message"]["content"].strip() == REPLIES[ON_SERVER]


def test_embeddings_come_from_the_board(client: dict[str, str]) -> None:
    reply = embed(client, "one", "two")
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-litellm-model-id"] == f"embedding-{BOARD}"
    assert [len(entry["embedding"]) for entry in reply.json()["data"]] == [64, 64]


def test_both_models_of_the_board_share_one_ollama() -> None:
    assert board.check_output("docker ps --format '{{.Names}}'").split() == ["ollama-11434"]
    assert gateway.check_output("docker ps --format '{{.Names}}'").split() == ["litellm-gateway"]
    assert set(server.check_output("docker ps --format '{{.Names}}'").split()) == {"litellm-gateway", "vllm-chat"}


def test_containers_ask_the_name_servers_of_their_host() -> None:
    assert "192.0.2.53" in gateway.check_output("docker exec litellm-gateway cat /etc/resolv.conf")
    assert "192.0.2.53" not in server.check_output("docker exec litellm-gateway cat /etc/resolv.conf")


# --- what a stranger may not


@pytest.mark.parametrize("host", [SERVER, BOARD])
def test_engines_answer_the_gateway_with_its_key_and_nobody_else(host: str) -> None:
    key = secret(f"engine_keys/{host}")
    url = f"{ENGINES[host]}/v1/models"
    assert through(gateway, url, key) == 200
    assert through(gateway, url, {}) == 401
    assert through(gateway, url, {"Authorization": "Bearer wrong-key-wrong-key"}) == 401
    if host == SERVER:  # on the board's list of gateways the server stands
        assert through(board, url, key) == 403
    assert requests.get(url, headers=key, timeout=20).status_code == 403


def stranger_reaches(host: str) -> bool:
    """Whether a neighbour with a route gets to the engine's container itself, where it listens on every address.

    A port published on 127.0.0.1 is open on the container's own address too, and no proxy stands there.
    """
    node, name, port = (server, "vllm-chat", 8000) if host == SERVER else (board, "ollama-11434", 11434)
    address = node.check_output("docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' %s", name)
    program = f"import socket; socket.create_connection(('{address}', {port}), 3)"
    route = f"ip route add {address}/32 via {PLATFORMS[host]} && echo routed"
    image = docker("inspect", "--format", "{{.Config.Image}}", host).strip()
    stranger = ["docker", "run", "--rm", "--cap-add", "NET_ADMIN", "--network", "gpu-inference-testbed", "--entrypoint", "sh", image, "-c"]
    done = subprocess.run([*stranger, f'{route} && python3 -c "{program}"'], capture_output=True, text=True, check=False)
    assert "routed" in done.stdout, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("host", [SERVER, BOARD])
def test_nobody_gets_around_the_proxy(host: str) -> None:
    assert not stranger_reaches(host)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pull"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("POST", "/api/push"),
        ("DELETE", "/api/delete"),
        ("POST", "/v1/../api/pull"),
        ("POST", "/v1/%2e%2e/api/pull"),
        ("POST", "//api/pull"),
        ("DELETE", "/api/show/../delete"),
    ],
)
def test_models_of_ollama_cannot_be_changed(method: str, path: str) -> None:
    status = through(gateway, ENGINES[BOARD] + path, secret(f"engine_keys/{BOARD}"), method, {"model": "nomic-embed-text"})
    assert status in {400, 404, 405}
    tags = json.loads(
        board.check_output("python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:11434/api/tags').read().decode())\"")
    )
    assert {entry["name"] for entry in tags["models"]} == {"qwen3:4b-instruct", "nomic-embed-text:latest"}


@pytest.mark.parametrize("path", ["/tokenize", "/invocations", "/score", "/v1/../tokenize"])
def test_routes_that_vllm_leaves_open_are_not_forwarded(path: str) -> None:
    assert through(gateway, ENGINES[SERVER] + path, secret(f"engine_keys/{SERVER}"), "POST", {"prompt": "x", "model": "chat"}) == 404


@pytest.mark.parametrize(("node", "port"), [(server, 8070), (board, 11434)], ids=["server", "board"])
def test_only_the_proxy_listens_towards_the_network(node: Any, port: int) -> None:
    found = {line.split()[3] for line in node.check_output("ss -H -l -t -n").splitlines()}
    address = PLATFORMS[SERVER if node is server else BOARD]
    assert {entry for entry in found if entry.endswith(f":{port}")} == {f"127.0.0.1:{port}", f"{address}:{port}"}


def deployed() -> dict[str, str]:
    """What tells whether routes changed or anything was restarted."""
    gateway_id = gateway.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' litellm-gateway")
    return {"container": gateway_id, "config": gateway.check_output("sha256sum /etc/gpu-inference/instances/litellm/gateway/config.yaml")}


def site(*arguments: str) -> subprocess.CompletedProcess[str]:
    began = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", str(EPHEMERAL / "inventory"), str(PROJECT / "site.yml"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        # molecule asks for colours, which the recap's lines would begin with.
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
    )
    print(f"\nsite.yml {' '.join(arguments)} ended with {done.returncode} after {time.monotonic() - began:.0f} s")
    return done


def recap(done: subprocess.CompletedProcess[str], host: str) -> str:
    found = [line for line in done.stdout.splitlines() if line.startswith(host) and "ok=" in line]
    assert found, done.stdout[-3000:] + done.stderr[-1000:]
    return found[0]


# --- two gateways, one Redis


@pytest.fixture
def _redis_back() -> Iterator[None]:
    yield
    server.check_output("systemctl start gpu-inference-proxy.service")
    gateway.run("systemctl kill -s CONT redis-server.service")
    gateway.check_output("systemctl start redis-server.service")


def asked_of_the_board() -> int:
    """Requests for embeddings that got as far as the engine."""
    return board.check_output("docker logs ollama-11434 2>&1").count('"/v1/embeddings"')


def test_a_client_has_one_key_for_both_gateways(client: dict[str, str]) -> None:
    for url in (URL, SECOND_URL):
        reply = chat(client, url=url)
        assert (reply.status_code, reply.headers.get("x-litellm-model-id")) == (200, ON_SERVER), reply.text
        assert chat({"Authorization": "Bearer wrong-key-wrong-key"}, url=url).status_code == 401


def test_what_one_gateway_was_told_the_other_knows(client: dict[str, str]) -> None:
    words = f"said at {time.time()}"
    first = embed(client, words)
    asked = asked_of_the_board()
    second = embed(client, words, url=SECOND_URL)
    assert second.json()["data"][0]["embedding"] == first.json()["data"][0]["embedding"]
    assert asked_of_the_board() == asked
    assert embed(client, words + " and more", url=SECOND_URL).status_code == 200
    assert asked_of_the_board() == asked + 1


def test_a_backend_that_one_gateway_gave_up_is_spared_by_the_other(client: dict[str, str]) -> None:
    """The second gateway needs no proxy to get to the engine of its own host, so only the Redis can tell it."""
    server.check_output("systemctl stop gpu-inference-proxy.service")
    try:
        assert chat(client, url=SECOND_URL).headers["x-litellm-model-id"] == ON_SERVER
        assert chat(client).headers["x-litellm-model-id"] == ON_BOARD
        time.sleep(2)  # LiteLLM looks into the Redis once a second
        assert chat(client, url=SECOND_URL).headers["x-litellm-model-id"] == ON_BOARD
    finally:
        server.check_output("systemctl start gpu-inference-proxy.service")
    for url in (URL, SECOND_URL):
        wait_until("the first in order serves again", lambda: chat(client, url=url).headers["x-litellm-model-id"] == ON_SERVER)  # noqa: B023


@pytest.mark.parametrize("node", [gateway, server], ids=["gateway", "server"])
def test_the_password_of_redis_lies_in_one_closed_file(node: Any) -> None:
    password = (EPHEMERAL / "redis_password").read_text().split()[0]
    folders = "/etc/gpu-inference /etc/systemd /usr/lib/systemd/system /usr/local/lib /run/gpu-inference"
    found = node.run(f"grep -rlF {password} {folders}").stdout.split()
    assert found == ["/etc/gpu-inference/instances/litellm/gateway/env"]
    assert node.file(found[0]).mode == 0o600
    assert password not in node.check_output("ps -e -o args")
    assert password not in node.check_output("journalctl --no-pager --output cat")


@pytest.mark.usefixtures("_redis_back")
def test_gateways_serve_without_their_redis(client: dict[str, str]) -> None:
    gateway.check_output("systemctl stop redis-server.service")
    for url in (URL, SECOND_URL):
        seconds = []
        for number in range(10):
            began = time.monotonic()
            assert chat(client, url=url).status_code == 200
            assert embed(client, f"without Redis, {number} of {url}", url=url).status_code == 200
            seconds.append(time.monotonic() - began)
        print(f"\n{url} without Redis: slowest {max(seconds):.2f} s, last {seconds[-1]:.2f} s for two requests")
    # Nor does it need one to start.
    server.check_output("systemctl restart litellm@gateway.service")
    assert chat(client, url=SECOND_URL).status_code == 200


@pytest.mark.usefixtures("_redis_back")
def test_gateways_serve_while_their_redis_hangs(client: dict[str, str]) -> None:
    gateway.check_output("systemctl kill -s STOP redis-server.service")
    server.check_output("systemctl stop gpu-inference-proxy.service")  # what it costs to give up a backend now
    tally = Tally()
    for url in (URL, SECOND_URL) * 10:
        tally.ask(client, url)
    tally.say("Redis hangs")
    assert tally.failed == []
    # Ten to twenty seconds on a machine with nothing else to do. What must not happen is a wait without end, or a restart.
    assert max(tally.seconds) < 120
    server.check_output("systemctl restart litellm@gateway.service")
    assert chat(client, url=SECOND_URL).status_code == 200
    assert gateway.check_output("systemctl show --property NRestarts --value litellm@gateway.service") == "0"


# --- routes stay


def test_a_run_for_one_host_keeps_the_routes_of_the_others() -> None:
    before = deployed()
    done = site("--limit", GATEWAY)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "changed=0" in recap(done, GATEWAY)
    assert deployed() == before


# --- hosts go and come back


def both_serve(client: dict[str, str]) -> None:
    wait_until("the first in order serves", lambda: chat(client).headers.get("x-litellm-model-id") == ON_SERVER)
    # With its master key the gateway tells what its last round of health checks saw, and a backend that failed there gets nothing.
    wait_until(
        "the gateway sees both",
        lambda: requests.get(f"{URL}/health", headers=secret("master_key"), timeout=120).json()["unhealthy_count"] == 0,
    )


@pytest.fixture
def _all_back(client: dict[str, str]) -> Iterator[None]:
    both_serve(client)  # the tests before have left marks too
    yield
    was_off = docker("container", "inspect", "--format", "{{.State.Running}}", BOARD).strip() == "false"
    for name in (SERVER, BOARD):
        subprocess.run(["docker", "unpause", name], capture_output=True, check=False)
        docker("start", name)
    # A host that boots has no systemd to talk to at first.
    wait_until(f"{SERVER} is ready", lambda: server.run("systemctl start vllm@chat.service").rc == 0)
    wait_until(f"{BOARD} is ready", lambda: board.run("systemctl is-active --quiet ollama@11434.service").rc == 0)
    both_serve(client)
    if was_off:
        # Nobody asks the second in order while the first serves: the gateway's next health check finds it again.
        interval = gateway.check_output("grep -o 'health_check_interval: .*' /etc/gpu-inference/instances/litellm/gateway/config.yaml")
        time.sleep(int(interval.split()[1]) + 15)


@pytest.mark.usefixtures("_all_back")
def test_chat_goes_on_without_the_first_engine(client: dict[str, str]) -> None:
    tally = loop("vLLM's unit stopped", client, lambda: server.check_output("systemctl stop vllm@chat.service"))
    assert tally.served[ON_BOARD] == REQUESTS - REQUESTS // 4


@pytest.mark.usefixtures("_all_back")
def test_chat_goes_on_without_the_second_engine(client: dict[str, str]) -> None:
    tally = loop("Ollama's unit stopped", client, lambda: board.check_output("systemctl stop ollama@11434.service"))
    board.check_output("systemctl start ollama@11434.service")
    assert tally.served == {ON_SERVER: REQUESTS}


@pytest.mark.usefixtures("_all_back")
def test_chat_takes_no_notice_of_a_second_host_that_hangs(client: dict[str, str]) -> None:
    tally = loop("the second host hangs", client, lambda: docker("pause", BOARD))
    assert tally.served == {ON_SERVER: REQUESTS}
    assert max(tally.seconds) < 10


@pytest.mark.usefixtures("_all_back")
def test_chat_goes_on_while_a_host_hangs(client: dict[str, str]) -> None:
    tally = loop("the first host hangs", client, lambda: docker("pause", SERVER))
    assert tally.served[ON_BOARD] >= REQUESTS - REQUESTS // 4


def stops_nobody(off: str, *arguments: str) -> None:
    """A run with one host off: it is named, the others are as they were, and so are all routes."""
    before = deployed()
    done = site(*arguments)
    # The connection to a container that is off counts as failed, one by SSH as unreachable.
    assert done.returncode != 0
    assert "unreachable=1" in recap(done, off) or "failed=1" in recap(done, off), recap(done, off)
    for host in set(PLATFORMS) - {off}:
        assert "changed=0" in recap(done, host), recap(done, host)
        assert "failed=0" in recap(done, host), done.stdout[-4000:]
    assert deployed() == before


@pytest.mark.usefixtures("_all_back")
def test_a_run_without_the_second_host_leaves_all_the_rest_in_place(client: dict[str, str]) -> None:
    tally = loop("the second host is off", client, lambda: docker("stop", "--time", "5", BOARD))
    assert tally.served == {ON_SERVER: REQUESTS}
    began = time.monotonic()
    assert embed(client, "of nobody else").status_code >= 500
    print(f"\na model of a host that is off fails after {time.monotonic() - began:.0f} s")
    stops_nobody(BOARD)


@pytest.mark.usefixtures("_all_back")
def test_a_run_without_the_first_host_leaves_all_the_rest_in_place(client: dict[str, str]) -> None:
    """It takes one of the two gateways with it."""
    tally = loop("the first host is off", client, lambda: docker("stop", "--time", "5", SERVER))
    assert tally.served[ON_BOARD] >= REQUESTS - REQUESTS // 4
    stops_nobody(SERVER, "--tags", "litellm")


def test_nobody_gets_around_the_proxy_of_a_host_that_was_booted_again() -> None:
    assert not stranger_reaches(SERVER)
