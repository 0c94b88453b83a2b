# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Claude Code, Codex and opencode finish their task through each of two gateways, with a client's key and vLLM's own parser.

All that crosses the network meanwhile is looked at: it is TLS, and none of the keys is in it.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
import yaml
from support.capture import Stream, capture, streams

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SECRETS = EPHEMERAL / "secrets"
PLATFORMS = {item["name"]: item["ip"] for item in yaml.safe_load((PROJECT / "molecule/agents/molecule.yml").read_text())["platforms"]}
SERVER, DESK = PLATFORMS
#: Each program with the route that it speaks.
ROUTES = {"Claude Code": "/v1/messages", "Codex": "/v1/responses", "opencode": "/v1/chat/completions"}
GATEWAY_PORT, ENGINE_PORT, CLEAR_PORT = 8400, 8070, 8499
HANDSHAKE = b"\x16\x03"
#: A request without TLS, its key in two packets, to a server of plain http that looks after one connection.
IN_CLEAR = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as link:
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = sys.argv[3]
    link.sendall(f"GET / HTTP/1.0\\r\\nAuthorization: Bearer {key[:9]}".encode())
    time.sleep(0.5)
    link.sendall(f"{key[9:]}\\r\\n\\r\\n".encode())
    print(link.recv(12).decode())
"""

desk = testinfra.get_host(f"docker://{DESK}")
server = testinfra.get_host(f"docker://{SERVER}")


def playbook(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ansible-playbook", "--inventory", str(EPHEMERAL / "inventory"), str(PROJECT / name), *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def asked(host: str) -> dict[str, int]:
    """How often each route was answered with 200 by the gateway of this host."""
    log = testinfra.get_host(f"docker://{host}").check_output("docker logs litellm-gateway 2>&1")
    return {route: sum(f"POST {route}" in line and "200" in line for line in log.splitlines()) for route in ROUTES.values()}


def key(name: str) -> str:
    return (SECRETS / name).read_text().strip()


def ask_from_elsewhere(host: str, path: str, **body: Any) -> requests.Response:
    """With a client's key, from the machine that all nodes are on."""
    return requests.post(
        f"https://{PLATFORMS[host]}:{GATEWAY_PORT}{path}",
        headers={"Authorization": f"Bearer {key('client_keys/dev')}"},
        json={"model": "coder", **body},
        verify=str(SECRETS / "gateway-ca.pem"),
        timeout=300,
    )


def ask_in_clear(word: str) -> str:
    """From the desk to the server, with this word for a key."""
    unit = "plain-http"
    server.check_output(f"systemd-run --unit {unit} python3 -m http.server --directory /srv {CLEAR_PORT}")
    try:
        server.check_output(f"for n in $(seq 50); do ss -H -l -t -n | grep -q :{CLEAR_PORT} && break; sleep 0.2; done")
        return str(desk.check_output("python3 -c %s %s %s %s", IN_CLEAR, PLATFORMS[SERVER], str(CLEAR_PORT), word))
    finally:
        server.check_output(f"systemctl stop {unit}")


@dataclass(frozen=True)
class Verified:
    """What playbook verify says and makes of a gateway once the programs' files lead there, and what was on the network meanwhile."""

    gateway: str
    status: int
    report: dict[str, Any]
    #: Answers by route.
    answered: dict[str, int]
    #: What a client elsewhere got.
    elsewhere: requests.Response
    #: The key that was sent in clear.
    word: str
    #: By node.
    frames: dict[str, list[bytes]]
    sent: dict[str, list[Stream]]

    def between(self, wanted: Callable[[Stream], bool]) -> list[Stream]:
        """What programs said in connections that began meanwhile, as both ends saw it: the ports tell which."""
        return [stream for found in self.sent.values() for stream in found if stream.opened and wanted(stream) and stream.data()]


@pytest.fixture(scope="module", params=[SERVER, DESK])
def verified(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verified:
    gateway = request.param
    address = ("-e", f"agents_gateway=https://{PLATFORMS[gateway]}:{GATEWAY_PORT}")
    deployed = playbook("site.yml", "--tags", "clients", *address)
    assert deployed.returncode == 0, deployed.stdout[-4000:]
    report, before, word = tmp_path_factory.mktemp("report"), asked(gateway), f"in-clear-{secrets.token_hex(16)}"
    with capture(*PLATFORMS) as seen:
        done = playbook("playbooks/verify.yml", *address, "-e", f"verify_report_dir={report}")
        after = asked(gateway)
        elsewhere = ask_from_elsewhere(gateway, "/v1/chat/completions", messages=[{"role": "user", "content": "Hello"}])
        assert ask_in_clear(word).startswith("HTTP/1")
    print(done.stdout[-6000:])
    return Verified(
        gateway,
        done.returncode,
        json.loads((report / "report.json").read_text()),
        {route: after[route] - before[route] for route in after},
        elsewhere,
        word,
        {node: one.frames for node, one in seen.items()},
        {node: streams(one.frames) for node, one in seen.items()},
    )


def test_every_program_writes_the_file_it_was_asked_for(verified: Verified) -> None:
    rows = {row["model"]: row for view in verified.report["views"] for row in view["rows"]}
    print(json.dumps(verified.report, indent=1)[:3000], list(rows))
    assert (verified.status, verified.report["failed"]) == (0, 0)


def test_each_speaks_its_own_route_with_this_gateway(verified: Verified) -> None:
    """A call of the tool, and an end: two requests at least. Verification itself asks for chat answers too."""
    print(verified.gateway, verified.answered)
    assert all(count >= 2 for count in verified.answered.values()), verified.answered


@pytest.mark.parametrize("host", [SERVER, DESK])
def test_a_response_is_not_gone_on_with_by_its_id(host: str) -> None:
    """Not even by one that this gateway has just made."""
    first = ask_from_elsewhere(host, "/v1/responses", input="Hello")
    assert first.status_code == 200, first.text
    second = ask_from_elsewhere(host, "/v1/responses", input="And?", previous_response_id=first.json()["id"])
    error = second.json()["error"]
    assert (second.status_code, error["param"], error["code"]) == (400, "previous_response_id", "unsupported_parameter")
    assert "Send all of it as input" in error["message"]


# --- what is on the network meanwhile


def test_both_ways_between_hosts_were_gone(verified: Verified) -> None:
    """From clients to the gateway, and from the gateway without an engine to the engine: more than a handshake."""
    assert verified.elsewhere.status_code == 200, verified.elsewhere.text
    ways = [(PLATFORMS[DESK], SERVER, GATEWAY_PORT)] if verified.gateway == SERVER else [(PLATFORMS[DESK], SERVER, ENGINE_PORT)]
    ways.append(("", verified.gateway, GATEWAY_PORT))  # from elsewhere
    for source, target, port in ways:
        there = verified.between(lambda way: way.target == (PLATFORMS[target], port) and way.source[0].startswith(source))  # noqa: B023
        total = sum(len(way.data()) for way in there)
        print(f"{source or 'all'} to {target}:{port}: {len(there)} connections, {total:,} bytes")
        # Of the first prompts of three agents; of one request from elsewhere.
        assert total > (50_000 if source else 500)


def test_all_that_is_said_between_hosts_is_tls(verified: Verified) -> None:
    hosts = set(PLATFORMS.values())
    between = verified.between(
        lambda way: {way.source[0], way.target[0]} == hosts or {way.source[1], way.target[1]} & {GATEWAY_PORT, ENGINE_PORT}
    )
    clear = [way for way in between if not way.data().startswith(HANDSHAKE)]
    assert {way.source[1] for way in clear} | {way.target[1] for way in clear} >= {CLEAR_PORT}
    assert [way for way in clear if CLEAR_PORT not in (way.source[1], way.target[1])] == []


def keys() -> dict[str, bytes]:
    """Every key of this deployment, by its file."""
    files = [SECRETS / "master_key", *SECRETS.glob("client_keys/*"), *SECRETS.glob("engine_keys/*")]
    return {str(path.relative_to(SECRETS)): path.read_bytes().strip() for path in files}


def holds(verified: Verified, secret: bytes) -> bool:
    """Whether one of the packets, or what they make together, has it."""
    whole = any(secret in frame for frames in verified.frames.values() for frame in frames)
    return whole or any(secret in stream.data() for found in verified.sent.values() for stream in found)


def test_no_key_is_on_the_network(verified: Verified) -> None:
    known = keys()
    assert {"master_key", "client_keys/dev", f"engine_keys/{SERVER}"} <= set(known), list(known)
    assert [name for name, secret in known.items() if holds(verified, secret)] == []
    assert not holds(verified, b"PRIVATE KEY")


def test_a_key_in_clear_would_have_been_seen(verified: Verified) -> None:
    """Else the tests above would prove nothing."""
    word = verified.word.encode()
    assert holds(verified, word)
    assert not any(word in frame for frames in verified.frames.values() for frame in frames), "it was not sent in two packets"
    for node, frames in verified.frames.items():
        print(f"{node}: {len(frames):,} packets, {sum(map(len, frames)):,} bytes")


def test_the_programs_leave_no_folder_behind() -> None:
    assert desk.check_output("ls /tmp | grep gpu-inference-verify || true") == ""
