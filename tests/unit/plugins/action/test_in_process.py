# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions decide themselves, without Ansible around them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from ansible.errors import AnsibleActionFail
from support.action import act
from support.inventories import cpu, dgpu, service, variables

from ansible_collections.llmops.gpu_inference.plugins.action import (
    check_groups,
    check_role,
    client_files,
    container_units,
    endpoint_ready,
    first_inventory,
    plan,
    secrets,
    show,
    unit_releases,
    verify_gateway,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.connection import without_warning

PYTHON = without_warning(constants.config.get_config_value("INTERPRETER_PYTHON"))
NODE = {**variables(service(memory="8GiB")), "inference_address": "192.0.2.20"}


def inventory(**hosts: Any) -> dict[str, Any]:
    names = list(hosts)
    return {
        "groups": {"all": names, "inference_nodes": names, "gateways": names[:1]},
        "hostvars": hosts,
        "ansible_play_hosts": names,
        "ansible_play_hosts_all": names,
    }


def test_groups_that_are_misspelt_end_the_run_and_strange_ones_are_told() -> None:
    good = inventory(n1=NODE)
    assert act(check_groups, variables=good) == {"changed": False, "python": PYTHON}
    strange = {**good, "groups": {**good["groups"], "jetson": ["n2"], "all": ["n1", "n2"]}, "hostvars": {"n1": NODE, "n2": {}}}
    assert "the group jetson has hosts that are not in inference_nodes" in act(check_groups, variables=strange)["warnings"][0]
    wrong = {**good, "groups": {"all": ["n1"], "gateway": ["n1"]}}
    with pytest.raises(AnsibleActionFail, match="a group gateway, which nothing here knows"):
        act(check_groups, variables=wrong)
    lenient = {**good, "groups": {**good["groups"], "gateway": ["n1"], "gateways": []}}
    assert "gateway" in act(check_groups, variables=lenient, strict=False)["warnings"][0]


def test_all_that_is_wrong_with_a_role_is_told_at_once() -> None:
    checks = [{"that": False, "fail_msg": " first \n"}, {"that": True, "fail_msg": "no"}, {"that": False, "fail_msg": "second"}]
    with pytest.raises(AnsibleActionFail) as told:
        act(check_role, variables={"litellm_prot": 1}, roles=["litellm"], checks=checks)
    assert str(told.value).startswith("The role litellm has no such variable: litellm_prot")
    assert str(told.value).endswith("\nfirst\nsecond")
    assert act(check_role, roles=["litellm"], variables={"litellm_port": 1}) == {"changed": False}


def test_units_come_back_hidden_and_the_roles_of_their_kinds_are_looked_at() -> None:
    units = [{"kind": "vllm", "name": "chat", "secret_environment": {"VLLM_API_KEY": "k"}}, {"kind": "vllm", "name": "more"}]
    assert act(check_role, roles=["engines"], units=units) == {"changed": False, "units": units, "_ansible_no_log": True}
    with pytest.raises(AnsibleActionFail) as told:
        act(check_role, variables={"vllm_instance": 1}, roles=["engines"], units=units)
    assert str(told.value).count("The role vllm has no such variable: vllm_instance") == 1
    assert act(check_role, roles=["engines"], units=[])["units"] == []


def test_lines_are_shown_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert act(show, lines=["one", "two"]) == {"changed": False, "lines": ["one", "two"]}
    assert "one\ntwo" in capsys.readouterr().out


def test_files_of_clients_are_the_modules_business() -> None:
    seen: list[dict[str, Any]] = []
    assert act(client_files, lambda given: seen.append(given) or {"changed": True}, files=[1])["changed"]  # type: ignore[func-returns-value]
    assert seen == [{"files": [1]}]


def planned(tmp_path: Path, *, answer: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    host = {**NODE, "__planning_gpu_facts": {"ansible_facts": {"gpu_inference": dgpu() if answer is None else answer}}}
    return act(plan, variables={**inventory(n1=host), "inference_secrets_dir": str(tmp_path / "keys")}, **arguments)


def test_the_plan_remembers_hardware(tmp_path: Path) -> None:
    assert planned(tmp_path, task_check_mode=True)["unreached"] == []
    assert not (tmp_path / "keys").exists()
    found = planned(tmp_path)
    assert found["plan"]["hosts"]["n1"]["platform"] == "dgpu"
    assert json.loads((tmp_path / "keys/known_hardware.json").read_text())["n1"]["platform"] == "dgpu"
    away = act(plan, variables={**inventory(n1=NODE), "inference_secrets_dir": str(tmp_path / "keys")})
    assert (away["unreached"], away["plan"]["hosts"]["n1"]["hardware"]) == (["n1"], "an earlier run")


def test_hardware_that_cannot_be_kept_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    assert any("could not be kept" in warning for warning in planned(tmp_path)["warnings"])


def test_the_plan_is_shown_with_its_warnings_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(tmp_path, answer=cpu(), show=True)
    assert "HOST" in capsys.readouterr().out
    assert "warnings" not in found
    assert any("n1" in line for line in found["lines"])
    assert "warnings" not in planned(tmp_path, answer=cpu(), warn=False)


def test_what_a_cache_has_kept_is_forgotten() -> None:
    cached = {**NODE, "ansible_facts": {"gpu_inference": dgpu(), "inference_secrets": {"master_key": "x"}}}
    assert act(plan, variables=inventory(n1=cached))["ansible_facts"] == {"inference_secrets": None}


def test_every_mistake_of_an_inventory_is_told(tmp_path: Path) -> None:
    wrong = {**NODE, "inference_services": [service("nobody", 8071)], "inference_clients_config": [{"type": "nothing"}]}
    hosts = {**inventory(n1=wrong), "inventory_dir": str(tmp_path)}
    hosts["groups"]["inference_clients"] = ["n1"]
    with pytest.raises(AnsibleActionFail) as told:
        act(plan, variables=hosts)
    assert "is not defined in inference_models" in str(told.value)
    assert "inference_clients_config" in str(told.value)
    clients = {**NODE, "inference_clients_config": [{"type": "nothing"}]}
    hosts["hostvars"] = {"n1": clients}
    with pytest.raises(AnsibleActionFail, match="inference_clients_config"):
        act(plan, variables=hosts)


def keys(folder: Path, **arguments: Any) -> dict[str, Any]:
    own = {"inference_gateway": {"client_keys": {"alice": None}}}
    given = {"hostvars": {"n1": own}, "groups": {"inference_nodes": ["n1", "n2"], "gateways": ["n1"]}}
    return act(secrets, variables=given, directory=str(folder), engine_hosts=["n1"], gateway_host="n1", **arguments)


def test_keys_are_made_once_and_hidden(tmp_path: Path) -> None:
    first = keys(tmp_path)
    assert (first["changed"], first["_ansible_no_log"]) == (True, True)
    assert first["secrets"]["unserved"] == ["client_keys/alice", "engine_keys/n1", "master_key"]
    again = keys(tmp_path)
    assert not again["changed"]
    assert again["secrets"]["master_key"] == first["secrets"]["master_key"]


def test_a_new_key_waits_until_all_hosts_serve_with_it(tmp_path: Path) -> None:
    old = keys(tmp_path, served={"engines": ["n1"], "gateways": ["n1"], "clients": []})
    assert old["secrets"]["unserved"] == []
    new = keys(tmp_path, rotate=["engine_keys/n1"], pending=True)
    assert new["secrets"]["changing"] == ["engine_keys/n1"]
    assert new["secrets"]["previous"]["engine_keys"] == {"n1": old["secrets"]["engine_keys"]["n1"]}
    kept = keys(tmp_path, served={"engines": [], "gateways": ["n1"], "clients": []}, pending=True)
    assert "the old key is kept until site.yml has reached n1 too" in kept["warnings"][0]
    assert keys(tmp_path, served={"engines": ["n1"], "gateways": ["n1"], "clients": []}, pending=True)["secrets"]["changing"] == []


def test_a_key_that_is_not_there_cannot_be_rotated(tmp_path: Path) -> None:
    with pytest.raises(AnsibleActionFail, match="'nobody' is not a key of this deployment; its keys are all, client_keys"):
        keys(tmp_path, rotate=["nobody", ""])


def test_keys_of_the_inventory(tmp_path: Path) -> None:
    own = {
        "inference_master_key": "sk-master-0123456789abcdef",
        "inference_huggingface_token": "hf_0123456789",
        "inference_engine_key": "engine-0123456789abcdef",
        "inference_gateway": {"client_keys": {}, "redis": {"password": "redis-0123456789"}},
        "inference_external_endpoints": [{"name": "cloud", "api_key": "cloud-0123456789"}, {"name": "free"}, "odd"],
    }
    given = {"hostvars": {"n1": own}, "groups": {}}
    options = {"directory": str(tmp_path / "keys"), "engine_hosts": ["n1"], "gateway_host": "n1"}
    found = act(secrets, variables=given, **options)["secrets"]
    assert (found["master_key"], found["engine_keys"]) == (own["inference_master_key"], {"n1": own["inference_engine_key"]})
    assert (found["external_keys"], found["redis_password"]) == ({"cloud": "cloud-0123456789"}, "redis-0123456789")
    assert (found["huggingface_tokens"], found["files"]) == ({"n1": "hf_0123456789"}, {})
    wrong = {
        **own,
        "inference_master_key": 12345,
        "inference_engine_key": "{{ nothing }}-0123456789abcdef",
        "inference_huggingface_token": "hf_0123456789\n",
    }
    with pytest.raises(AnsibleActionFail) as told:
        act(secrets, variables={"hostvars": {"n1": wrong}, "groups": {}}, **options)
    for variable, problem in {
        "inference_master_key": "must be a text; write it in quotes",
        "inference_engine_key": "cannot be evaluated",
        "inference_huggingface_token": "has a line break",
    }.items():
        assert f"{variable} (host n1): {problem}" in str(told.value)
    assert "0123456789" not in str(told.value)


def test_a_variable_that_cannot_be_evaluated_names_itself(tmp_path: Path) -> None:
    class Broken(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            raise ValueError("'nothing' is undefined")

    given = {"hostvars": {"n1": Broken(inference_engine_key=1)}, "groups": {}}
    with pytest.raises(AnsibleActionFail, match=r"inference_engine_key \(host n1\): cannot be evaluated"):
        act(secrets, variables=given, directory=str(tmp_path / "keys"), engine_hosts=["n1"], gateway_host=None)


FACTS = {"box1": {"ansible_facts": {"gpu_inference": dgpu()}}}


@pytest.fixture
def bare() -> Iterator[dict[str, Any]]:
    """Variables of a run with -i box1, -k -K, and nothing else."""
    from ansible import context
    from ansible.utils.context_objects import CLIArgs

    before = context.CLIARGS
    context.CLIARGS = CLIArgs({"inventory": ("box1,",), "ask_pass": True, "become_ask_pass": True})
    yield {"groups": {"all": ["box1"]}, "hostvars": {"box1": {"ansible_host": "192.0.2.9", "other": 1}}}
    context.CLIARGS = before


def test_a_first_inventory(tmp_path: Path, bare: dict[str, Any]) -> None:
    dest = tmp_path / "new/hosts.yml"
    assert act(first_inventory, variables=bare, dest=str(dest), only_check=True) == {"changed": False, "python": PYTHON}
    assert act(first_inventory, variables=bare, dest=str(dest), facts=FACTS, task_check_mode=True)["changed"]
    assert not dest.exists()
    made = act(first_inventory, variables=bare, dest=str(dest), facts=FACTS, task_diff=True)
    assert made["diff"]["after"] == dest.read_text()
    assert "192.0.2.9" in dest.read_text()
    assert made["lines"][-1].endswith("-k -K    # do it")
    with pytest.raises(AnsibleActionFail, match="is there already and stays"):
        act(first_inventory, variables=bare, dest=str(dest), facts=FACTS)
    assert not act(first_inventory, variables=bare, dest=str(dest), facts=FACTS, overwrite=True)["changed"]


def test_why_there_is_no_first_inventory(tmp_path: Path, bare: dict[str, Any]) -> None:
    silent = {"box1": {"msg": "Permission denied"}}
    with pytest.raises(AnsibleActionFail, match=r"(?s)because of one of the hosts:.*Permission denied"):
        act(first_inventory, variables=bare, dest=str(tmp_path / "a.yml"), facts=silent)
    with pytest.raises(AnsibleActionFail, match="No host is named by -i box1,"):
        act(first_inventory, variables={**bare, "groups": {}}, dest=str(tmp_path / "a.yml"), facts={})
    with pytest.raises(AnsibleActionFail, match="has the group gateways already"):
        act(first_inventory, variables={**bare, "groups": {"all": ["box1"], "gateways": ["box1"]}}, dest=str(tmp_path / "a.yml"))
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="cannot be looked at: Not a directory"):
        act(
            first_inventory, variables=bare, dest=str(tmp_path / "file/a.yml"), facts={"box1": {"ansible_facts": {"gpu_inference": dgpu()}}}
        )


def test_units_wait_for_another_run_and_say_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(container_units, "_PAUSE", 0.0)
    asked: list[dict[str, Any]] = []

    def host(given: dict[str, Any]) -> dict[str, Any]:
        asked.append(given)
        busy = {"failed": True, "held_by": "alice's run"} if len(asked) < 3 else {"changed": True, "units": {}}
        return {**busy, "invocation": {"module_args": {"_run": given["_run"], "kinds": []}}}

    done = act(container_units, host, variables={"inventory_hostname": "n1"}, kinds=["vllm"], lock_timeout=30)
    assert (done["changed"], done["invocation"]["module_args"], len(asked)) == (True, {"kinds": []}, 3)
    assert asked[0]["_run"]["patience"] == 1.0
    assert capsys.readouterr().out.count("n1: waits for alice's run") == 1
    asked.clear()
    assert act(container_units, host, kinds=["vllm"], lock_timeout="soon")["held_by"] == "alice's run"
    assert len(asked) == 1
    asked.clear()
    assert "patience" not in (act(container_units, host, kinds=["vllm"], task_async_val=60) and asked[0]["_run"])


def test_recordings_go_with_the_modules_that_ask_and_not_with_a_forecast(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    proof = {"answers": {"speech": [{"audio": str(tmp_path / "a.wav"), "says": "x"}]}}
    seen: list[dict[str, Any]] = []

    def host(given: dict[str, Any]) -> dict[str, Any]:
        seen.append(given["proof"])
        return {"changed": False}

    of_units: dict[str, Any] = {"kinds": ["vllm"]}
    of_releases: dict[str, Any] = {"units": ["vllm/speech"]}
    for plugin, options in ((container_units, of_units), (unit_releases, of_releases)):
        act(plugin, host, proof=proof, **options)
        assert seen[-1]["audio"] == {str(tmp_path / "a.wav"): "UklGRg=="}
        act(plugin, host, proof=proof, task_check_mode=True, **options)
        assert seen[-1] == proof
        lost = {"answers": {"speech": [{"audio": "/nonexistent/a.wav", "says": "x"}]}}
        with pytest.raises(
            AnsibleActionFail, match=r"^proof.answers.speech\[0\].audio = /nonexistent/a.wav: cannot be read on the controller"
        ):
            act(plugin, host, proof=lost, **options)
    act(unit_releases, lambda given: given, units=["vllm/speech"])


def test_a_recording_that_will_not_do_is_a_mistake_of_the_inventory(tmp_path: Path) -> None:
    models = {**NODE["inference_models"], "speech": {"source": "openai/whisper-small", "capability": "transcription"}}
    answers = {"speech": [{"audio": str(tmp_path / "none.wav"), "says": "x"}]}
    node = {**NODE, "inference_models": models, "inference_rollout": {"proof": {"answers": answers}}}
    with pytest.raises(AnsibleActionFail, match=r"answers.speech\[0\].audio = .*none.wav.*: cannot be read on the controller"):
        act(plan, variables=inventory(n1=node))
    (tmp_path / "none.wav").write_bytes(b"RIFF")
    found = act(plan, variables=inventory(n1=node))
    assert found["plan"]["hosts"]["n1"]["rollout"]["proof"]["answers"] == answers


def test_readiness_is_asked_in_one_call_or_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def host(given: dict[str, Any]) -> dict[str, Any]:
        asked.append(given)
        return {"changed": False, "endpoints": [], "waited": 1.0}

    endpoints = [{"name": "x", "base_url": "http://h/v1"}]
    monkeypatch.setattr(endpoint_ready, "is_read", lambda: False)
    assert act(endpoint_ready, host, endpoints=endpoints)["endpoints"] == []
    assert "_slice" not in asked[-1]
    monkeypatch.setattr(endpoint_ready, "is_read", lambda: True)
    act(endpoint_ready, host, variables={"inventory_hostname": "n1"}, endpoints=endpoints)
    assert asked[-1]["_slice"]


def test_a_verification_gets_what_its_requests_need_and_the_samples() -> None:
    models = [
        {"name": "chat", "backends": [{"model": "org/model", "health": False}], "route": "x"},
        "odd",
    ]
    seen: list[dict[str, Any]] = []

    def host(given: dict[str, Any]) -> dict[str, Any]:
        seen.append(given)
        return {"changed": False, "invocation": {"module_args": dict(given)}}

    done = act(
        verify_gateway, host, base_url="http://g", models=models, passthrough=[{"path": "/pooling", "model": "chat"}, {"path": "/x"}]
    )
    assert seen[0]["models"] == [{"name": "chat", "required": False}, "odd"]
    assert seen[0]["passthrough"] == [{"path": "/pooling", "model": "chat", "upstream_model": "org/model"}]
    assert seen[0]["shipped"] is True
    assert "image_content" not in done["invocation"]["module_args"]
    with pytest.raises(AnsibleActionFail, match="image: /nonexistent cannot be read on the controller"):
        act(verify_gateway, host, base_url="http://g", models="wrong", image="/nonexistent")
