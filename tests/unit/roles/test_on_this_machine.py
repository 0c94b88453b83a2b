# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of roles and playbooks that need no node: run here, in a folder of the test."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook
from support.repository import ROOT

pytestmark = pytest.mark.slow


def run(folder: Path, hosts: str, plays: list[dict[str, Any]], **variables: Any) -> subprocess.CompletedProcess[str]:
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, **play} for play in plays]), encoding="utf-8")
    given = json.dumps({"ansible_become": False, **variables})
    return playbook(folder, "play.yml", "-i", hosts, "-c", "local", "-e", given)


def tasks_of(role: str, file: str) -> dict[str, Any]:
    return {"ansible.builtin.import_role": {"name": f"llmops.gpu_inference.{role}", "tasks_from": file}}


def test_client_files_on_the_controller_stay_out_of_repositories(tmp_path: Path) -> None:
    variables = {
        "clients_files": [{"type": "openai", "path": "app/openai.env", "location": "controller"}],
        "clients_gateway_url": "http://192.0.2.10:8400",
        "clients_api_keys": {"app": "a-key-that-nobody-sees"},
        "clients_state_dir": str(tmp_path / "state"),
        "clients_controller_dir": str(tmp_path / "clients"),
    }
    plays = [{"tasks": [tasks_of("clients", "configure")]}]
    first = run(tmp_path, "localhost,", plays, **variables)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "a-key-that-nobody-sees" in (tmp_path / "clients/app/openai.env").read_text(encoding="utf-8")
    ignore = tmp_path / "clients/.gitignore"
    assert ignore.read_text(encoding="utf-8") == "*\n"
    ignore.write_text("mine\n", encoding="utf-8")
    again = run(tmp_path, "localhost,", plays, **variables)
    assert "changed=0" in again.stdout, again.stdout
    assert ignore.read_text(encoding="utf-8") == "mine\n"


def test_client_programs_that_prove_themselves_are_rows_of_the_report(tmp_path: Path) -> None:
    """One of the host that works, one of the controller that is not there; and one whose entry says nothing of it."""
    program = tmp_path / "codex"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$last" > hello.txt\n', encoding="utf-8")
    program.chmod(0o755)
    user = pwd.getpwuid(os.geteuid()).pw_name
    proves = {"verify": "run", "model": "coder"}
    variables = {
        "clients_files": [
            {"type": "codex", "path": str(tmp_path / "config.toml"), "owner": user, "program": str(program), **proves},
            {"type": "opencode", "path": "opencode.json", "location": "controller", "program": "/nowhere/opencode", **proves},
            {"type": "claude_code", "path": str(tmp_path / "settings.json"), "model": "coder"},
        ],
        "clients_gateway_url": "http://192.0.2.10:8400",
        "clients_api_keys": {"app": "a-key-that-nobody-sees"},
        "clients_models": [{"name": "coder", "capability": "chat", "max_input_tokens": 65536}],
        "clients_controller_dir": str(tmp_path),
    }
    report = "{{ {} | llmops.gpu_inference.verification_report('', '', programs={inventory_hostname: __clients_ran}) | to_json }}"
    written = {"ansible.builtin.copy": {"content": report, "dest": str(tmp_path / "out.json"), "mode": "0600"}}
    done = run(tmp_path, "localhost,", [{"tasks": [tasks_of("clients", "run"), written]}], **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    rows = {row["name"]: (row["ok"], row["cause"]) for view in found["views"] for row in view["rows"]}
    assert rows == {"Codex": (True, None), "opencode": (False, "program_missing")}
    assert f"codex of {user} wrote the file" in done.stdout
    assert "program_missing: /nowhere/opencode is not" in done.stdout
    assert "a-key-that-nobody-sees" not in done.stdout


def test_a_host_that_failed_before_is_a_line_of_the_report(tmp_path: Path) -> None:
    """The tasks are those of verify.yml; what they read is played."""
    plays = {play["name"]: play for play in yaml.safe_load((ROOT / "playbooks/verify.yml").read_text(encoding="utf-8"))}
    named = {task["name"]: task for play in plays.values() for task in play.get("tasks", [])}
    fact = "ansible.builtin.set_fact"
    answers: dict[str, Any] = {"__verify_units": {"units": []}, "__verify_host": {"rows": []}, "__verify_network": {"rows": []}}
    shown = {"ansible.builtin.copy": {"content": "{{ inference_report | to_json }}", "dest": str(tmp_path / "out.json"), "mode": "0600"}}
    found = run(
        tmp_path,
        "asks,fails,",
        [
            {
                "tasks": [
                    {fact: answers, "when": "inventory_hostname == 'asks'"},
                    {"ansible.builtin.fail": {}, "when": "inventory_hostname == 'fails'"},
                ]
            },
            {"tasks": [named["Keep the state of the units for the report"], named["Assemble the report"], {**shown, "run_once": True}]},
        ],
        inference_plan={"table": []},
        __verify_gateway={"url": "http://192.0.2.10:8400"},
    )
    assert (tmp_path / "out.json").exists(), found.stdout + found.stderr
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert report["units"] == [{"host": "fails", "unit": "(unknown)", "message": "the host was not asked"}]
    assert [view["name"] for view in report["views"] if view["rows"]] == ["fails (host)", "fails (clients network)"]
    assert report["failed"] == 2


@pytest.mark.parametrize(("listed", "good"), [("nvidia.com/gpu=GPU-a", True), ("", False), ("nvidia.com/gpu=GPU-of-before", False)])
def test_cdi_is_refused_where_no_specification_names_the_gpus(tmp_path: Path, listed: str, good: bool) -> None:
    """What would make one is not there: nvidia-ctk and systemctl are played."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, said in {"nvidia-ctk": listed, "systemctl": "LoadState=not-found", "journalctl": ""}.items():
        (folder / name).write_text(f"#!/bin/sh\necho '{said}'\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    facts = {"platform": "dgpu", "gpus": [{"index": 0, "uuid": "GPU-a", "name": "NVIDIA L40S", "mig": []}]}
    given = {
        "nvidia_container_toolkit_cdi": True,
        "nvidia_container_toolkit_proof": False,
        "__nvidia_container_toolkit_answer": {"ansible_facts": {"gpu_inference": facts}},
    }
    play = {"environment": {"PATH": f"{folder}:{os.environ['PATH']}"}, "tasks": [tasks_of("nvidia_container_toolkit", "verify")]}
    done = run(tmp_path, "localhost,", [play], **given)
    assert (done.returncode == 0) is good, done.stdout + done.stderr
    assert good or "The CDI specification of this host" in done.stdout


def node_proxy(folder: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    service = {"name": "chat.1", "port": 8070, "key": "0123456789abcdef", "allowed_addresses": ["192.0.2.10"]}
    services = [{**service, **variables.pop("service", {})}]
    given = {"node_proxy_listen_address": "192.0.2.20", "node_proxy_services": services, **variables}
    return run(folder, "localhost,", [{"tasks": [tasks_of("node_proxy", "preflight")]}], **given)


def test_the_proxy_takes_what_nginx_reads_as_it_is_meant(tmp_path: Path) -> None:
    files = {"node_proxy_tls_certificate": "/etc/ssl/proxy-1.pem", "node_proxy_tls_certificate_key": "/etc/ssl/private/proxy_1.key"}
    done = node_proxy(tmp_path, node_proxy_request_size="64m", **files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_proxy_refuses_what_nginx_would_read_as_something_else(tmp_path: Path) -> None:
    """All of it at once: a value ends its directive, begins another, or is cut off at a blank."""
    odd = {
        "service": {"name": "chat\nuser root;"},
        "node_proxy_request_size": "8m; autoindex on",
        "node_proxy_tls_certificate": "/etc/ssl/my cert.pem",
        "node_proxy_tls_certificate_key": "/etc/ssl/$key.pem",
    }
    done = node_proxy(tmp_path, **odd)
    assert done.returncode != 0, done.stdout
    said = " ".join(done.stdout.replace("\\\\", "\\").split())
    for value in ("chat", "autoindex on", "my cert.pem", "$key.pem"):
        assert value in said, done.stdout


@pytest.mark.parametrize("which", ["key", "previous_key"])
def test_a_key_of_the_proxy_ends_with_its_last_letter(tmp_path: Path, which: str) -> None:
    done = node_proxy(tmp_path, service={which: "0123456789abcdef\n"})
    assert done.returncode != 0, done.stdout
    assert "the key of chat.1 is shorter" in done.stdout
    assert "0123456789abcdef" not in done.stdout
