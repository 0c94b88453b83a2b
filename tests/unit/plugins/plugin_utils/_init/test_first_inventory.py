# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A first inventory from what hosts have: read by Ansible, it plans without a mistake or a warning, and its models fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.inventories import cpu, dgpu, gpu, jetson, spark
from support.repository import ROOT
from testbed.toolkit.dress import names
from unit.inventories.test_examples import inventory_of
from unit.plugins.module_utils.test__gpu_facts import facts_of

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.connection import connection_of, is_local, without_warning
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.inventory import (
    FirstInventory,
    InitError,
    Seen,
    first_inventory,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._init.offers import OFFERS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

SCHEMA = jsonschema.Draft7Validator(json.loads((ROOT / "schemas" / "inventory.json").read_text(encoding="utf-8")))
BIG, DENSE, LITTLE, AWQ = (
    "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8",
    "Qwen/Qwen3-32B-FP8",
    "Qwen/Qwen3-4B-Instruct-2507",
    "Qwen/Qwen3-8B-AWQ",
)
TAG, TAG_VL, TAG_3B = "qwen3:4b-instruct", "qwen3-vl:4b-instruct", "qwen2.5:3b"
VECTORS, TAG_VECTORS = "Qwen/Qwen3-Embedding-0.6B", "nomic-embed-text"

#: Of each recorded machine the models and their memory in GiB, or a part of what stands in the way.
RECORDED: dict[str, list[tuple[str, float]] | str] = {
    "rtx5090": [(LITTLE, 14), (VECTORS, 4)],
    "two-gpu-server": [(DENSE, 30), (VECTORS, 4)],
    "h200": [(BIG, 64), (VECTORS, 8)],
    "h100-mig": [(LITTLE, 14), (VECTORS, 4)],
    "spark": [(BIG, 64), (VECTORS, 8)],
    "thor": [(BIG, 64), (VECTORS, 8)],
    "orin": [(TAG_VL, 6), (TAG_VECTORS, 1)],
    "jetson-unknown": [(TAG_VL, 6), (TAG_VECTORS, 1)],
    "xavier-jetpack5": [(TAG, 3.5)],
    "wsl2": [(AWQ, 10), (VECTORS, 4)],
    "old-driver": [(AWQ, 10), (VECTORS, 4)],
    "no-gpu": [(TAG, 5), (TAG_VECTORS, 1)],
    "driver-without-gpu": [(TAG, 5), (TAG_VECTORS, 1)],
    "mismatch": "reboot the host",
    "driver-dead": "kernel module does not answer",
    "driver-missing": "Install NVIDIA's driver",
}


def card(name: str, gib: float, capability: str, index: int = 0) -> dict[str, Any]:
    return gpu(index, name=name, memory_mib=int(gib * 1024), compute_capability=capability)


RTX_3090, RTX_4090 = ("RTX 3090", 24, "8.6"), ("RTX 4090", 24, "8.9")
OLD_CUDA = {"driver": {"version": "470.10", "cuda": "11.4", "state": "ok", "message": ""}}
#: Machines without a recording: what they have, what they get, and on which GPUs where there are several.
MADE_UP: dict[str, tuple[dict[str, Any], list[tuple[str, float]] | str, list[Any]]] = {
    "24 GB": (dgpu(card(*RTX_4090)), [(LITTLE, 14), (VECTORS, 4)], [None, None]),
    "12 GB": (dgpu(card("RTX 3060", 12, "8.6")), [(AWQ, 10)], [None]),
    "8 GB": (dgpu(card("RTX 4060", 8, "8.9")), [(TAG, 5), (TAG_VECTORS, 1)], [None, None]),
    "6 GB": (dgpu(card("RTX 2060", 6, "7.5")), [(TAG, 5)], [None]),
    "4 GB": (dgpu(card("GTX 1650", 4, "7.5")), [(TAG, 3.5)], [None]),
    "2 GB": (dgpu(card("GTX 1050", 2, "6.1")), "too little memory", []),
    "too old for vLLM": (dgpu(card("GTX 1080 Ti", 11, "6.1")), [(TAG, 5), (TAG_VECTORS, 1)], [None, None]),
    "no FP8": (dgpu(card("A100", 80, "8.0")), [(LITTLE, 14), (VECTORS, 4)], [None, None]),
    "48 GB": (dgpu(card("L40S", 45, "8.9")), [(BIG, 38), (VECTORS, 4)], [None, None]),
    "80 GB": (dgpu(card("H100", 79.6, "9.0")), [(BIG, 64), (VECTORS, 8)], [None, None]),
    "two of 32 GB": (dgpu(card("RTX 5090", 31.8, "12.0"), card("RTX 5090", 31.8, "12.0", 1)), [(DENSE, 30)], [[0, 1]]),
    "four of 24 GB": (dgpu(*(card(*RTX_3090, i) for i in range(4))), [(LITTLE, 14), (VECTORS, 4)], [[0], [0]]),
    "two of 12 GB": (dgpu(*(card("RTX 3060", 12, "8.6", i) for i in range(2))), [(AWQ, 10), (VECTORS, 4)], [[0], [1]]),
    "three of 48 GB": (dgpu(*(card("L40S", 45, "8.9", i) for i in range(3))), [(DENSE, 30), (VECTORS, 4)], [[0, 1], [2]]),
    "old beside new": (dgpu(card("GTX 1080", 8, "6.1"), card("T4", 15, "7.5", 1)), [(AWQ, 10), (VECTORS, 4)], [[1], [1]]),
    "one that computes FP8": (dgpu(card("A100", 80, "8.0"), card("H100", 80, "9.0", 1)), [(BIG, 64), (VECTORS, 8)], [[1], [1]]),
    "a driver too old for any": (dgpu(card(*RTX_4090), **OLD_CUDA), "driver", []),
    "a card of unknown size": (dgpu(gpu(memory_mib=None)), "too little memory", []),
    "MIG without slices": (dgpu(gpu(mig_enabled=True)), "-mig 0", []),
    "Jetson of 8 GB": (jetson(memory_mib=7607), [(TAG, 3.5), (TAG_VECTORS, 0.5)], [None, None]),
    "Jetson of 16 GB": (jetson(memory_mib=15656), [(TAG_VL, 6), (TAG_VECTORS, 1)], [None, None]),
    "Jetson of 4 GB": (jetson("32.6.1", memory_mib=3956), "too little memory", []),
    "box of 8 GB": (cpu(memory_mib=7900), [(TAG, 5), (TAG_VECTORS, 1)], [None, None]),
    "box of 4 GB": (cpu(memory_mib=3900), [(TAG_3B, 3)], [None]),
    "box of 2 GB": (cpu(memory_mib=2000), "too little memory", []),
    "nothing known": ({}, "hardware could not be read. ssh: no route", []),
}


def made(*hosts: Seen) -> FirstInventory:
    return first_inventory(hosts, schema="../schemas/inventory.json", file="inventory/hosts.yml")


def planned(inventory: FirstInventory, hardware: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The plan of its text, as Ansible reads it: what it says of itself is true, and editors find nothing in it either."""
    assert yaml.safe_load(inventory.text) == inventory.data
    assert [error.message for error in SCHEMA.iter_errors(inventory.data)] == []
    (folder / "hosts.yml").write_text(inventory.text, encoding="utf-8")
    read = inventory_of(folder / "hosts.yml")
    assert set(read["hosts"]) == set(hardware)
    for name, facts in hardware.items():
        read["hosts"][name]["hardware"] = facts
    read["in_play"] = list(hardware)
    plan = build_plan(read)
    assert plan["warnings"] == list(inventory.warnings)
    # Gateways reach engines on other hosts in clear to begin with.
    return {**plan, "warnings": [warning for warning in plan["warnings"] if not warning.startswith("keys leave their host in clear")]}


def served(inventory: FirstInventory, name: str) -> list[tuple[str, float]]:
    variables = inventory.data["all"]["vars"]
    host = next(
        group["hosts"][name]
        for group in (inventory.data["all"]["children"]["inference_nodes"], *_children(inventory))
        if name in group.get("hosts", {})
    )
    services = host.get("inference_services") or variables["inference_services"]
    return [(variables["inference_models"][entry["model"]]["source"], float(entry["memory"].removesuffix("GiB"))) for entry in services]


def _children(inventory: FirstInventory) -> list[dict[str, Any]]:
    return list(inventory.data["all"]["children"]["inference_nodes"].get("children", {}).values())


def check(facts: dict[str, Any], wanted: list[tuple[str, float]] | str, folder: Path, said: str = "") -> FirstInventory | None:
    seen = Seen("box", facts, {}, said=said)
    if isinstance(wanted, str):
        with pytest.raises(InitError, match=re.escape(wanted)) as caught:
            made(seen)
        assert all("box" in problem for problem in caught.value.problems)
        return None
    inventory = made(seen)
    plan = planned(inventory, {"box": facts}, folder)
    assert plan["warnings"] == []
    assert served(inventory, "box") == wanted
    assert [row["memory"] for row in plan["table"]] == [amount for _source, amount in wanted]
    assert all(row["memory_left"] >= 0 for row in plan["table"])
    assert [model["name"] for model in plan["gateway"]["models"]] == ["chat", "embedding"][: len(wanted)]
    return inventory


def test_every_recording_has_a_row() -> None:
    assert names() == sorted(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_machines(name: str, tmp_path: Path) -> None:
    check(facts_of(tmp_path / "root", name).facts, RECORDED[name], tmp_path)


@pytest.mark.parametrize("name", MADE_UP)
def test_other_machines(name: str, tmp_path: Path) -> None:
    facts, wanted, gpus = MADE_UP[name]
    inventory = check(facts, wanted, tmp_path, said="ssh: no route")
    if inventory is not None:
        assert [entry.get("gpus") for entry in inventory.data["all"]["vars"]["inference_services"]] == gpus


def test_a_slice_is_named_by_its_uuid(tmp_path: Path) -> None:
    inventory = made(Seen("box", facts_of(tmp_path, "h100-mig").facts, {}))
    assert {entry["gpus"][0][:4] for entry in inventory.data["all"]["vars"]["inference_services"]} == {"MIG-"}


_KINDS: dict[str, Callable[[int, str | None], dict[str, Any]]] = {
    "card": lambda mib, capability: dgpu(gpu(memory_mib=mib, compute_capability=capability)),
    "two cards": lambda mib, capability: dgpu(*(gpu(i, memory_mib=mib, compute_capability=capability) for i in range(2))),
    "spark": lambda mib, _capability: spark(memory_mib=mib),
    "jetson": lambda mib, _capability: jetson(memory_mib=mib),
    "thor": lambda mib, _capability: jetson(
        "38.2.0",
        memory_mib=mib,
        driver={"version": "580.00", "state": "ok"},
        gpus=[gpu(name="NVIDIA Thor", memory_mib=None, compute_capability="11.0")],
    ),
    "cpu": lambda mib, _capability: cpu(memory_mib=mib),
}


#: GiB below which not even 3 GiB are for services: a card less 5 %, shared memory less 3 GiB at least, main memory less 10 % or 512 MiB.
LEAST = {"card": 3 / 0.95, "two cards": 3 / 0.95, "spark": 6, "jetson": 6, "thor": 6, "cpu": 3.5}


@given(
    st.sampled_from(sorted(_KINDS)),
    st.integers(1024, 300 * 1024),
    st.sampled_from([None, "5.2", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0"]),
)
def test_of_whatever_size_it_fits_or_is_too_small(kind: str, mib: int, capability: str | None) -> None:
    seen = Seen("box", _KINDS[kind](mib, capability), {})
    if mib < LEAST[kind] * 1024:
        with pytest.raises(InitError, match="too little memory"):
            made(seen)
        return
    inventory = made(seen)
    assert yaml.safe_load(inventory.text) == inventory.data
    assert inventory.warnings == ()


def test_several_hosts_that_differ(tmp_path: Path) -> None:
    facts = {"rtx": dgpu(), "10.0.0.30": jetson(memory_mib=15656), "on": cpu()}
    connections: dict[str, dict[str, Any]] = {
        "rtx": {"ansible_host": "192.0.2.20", "ansible_user": "yes", "ansible_port": 2222},
        "10.0.0.30": {"ansible_ssh_common_args": '-J "a b", {x}: #y'},
        "on": {},
    }
    inventory = made(*(Seen(name, facts[name], connections[name]) for name in facts))
    plan = planned(inventory, facts, tmp_path)
    assert plan["warnings"] == []
    assert served(inventory, "rtx") == [(LITTLE, 14), (VECTORS, 4)]
    assert served(inventory, "10.0.0.30") == [(TAG_VL, 6), (TAG_VECTORS, 1)]
    # A name at the gateway means one model, whoever serves it.
    assert {model["name"]: sorted(backend["host"] for backend in model["backends"]) for model in plan["gateway"]["models"]} == {
        "chat": ["rtx"],
        "embedding": ["rtx"],
        "qwen3-vl-4b": ["10.0.0.30"],
        "nomic-embed-text": ["10.0.0.30", "on"],
        "qwen3-4b-ollama": ["on"],
    }
    hosts = {name: entry for group in _children(inventory) for name, entry in group["hosts"].items()}
    assert {key: hosts["rtx"][key] for key in connections["rtx"]} == connections["rtx"]


def test_alike_hosts_share_their_services_and_names(tmp_path: Path) -> None:
    facts = {"gpu1": dgpu(), "gpu2": dgpu()}
    inventory = made(*(Seen(name, facts[name], {}) for name in facts))
    plan = planned(inventory, facts, tmp_path)
    assert [[backend["host"] for backend in model["backends"]] for model in plan["gateway"]["models"]] == [["gpu1", "gpu2"]] * 2
    assert list(inventory.data["all"]["children"]["gateways"]["hosts"]) == ["gpu1"]
    assert inventory.text.count("inference_services:") == 1


def test_the_machine_itself_is_the_gateway_since_no_other_reaches_it(tmp_path: Path) -> None:
    facts = {"gpu1": dgpu(), "localhost": cpu()}
    inventory = made(Seen("gpu1", facts["gpu1"], {}), Seen("localhost", facts["localhost"], {"ansible_connection": "local"}, True))
    planned(inventory, facts, tmp_path)
    assert list(inventory.data["all"]["children"]["gateways"]["hosts"]) == ["localhost"]


def test_everything_in_the_way_is_told_at_once() -> None:
    with pytest.raises(InitError) as caught:
        made(
            Seen("a", dgpu(gpus=[], driver={"state": "missing", "message": "Install\nit."}), {}),
            Seen("b", {}, {}, said="no\nroute"),
            Seen("c", cpu(memory_mib=100), {}),
        )
    assert [problem[:2] for problem in caught.value.problems] == ["a:", "b:", "c:"]


def test_what_a_driver_says_stays_a_comment(tmp_path: Path) -> None:
    facts = cpu(driver={"state": "no_gpu", "message": "No card.\ninference_platform: dgpu"})
    planned(made(Seen("box", facts, {})), {"box": facts}, tmp_path)


def test_the_first_lines_are_for_the_editor_and_for_the_newcomer() -> None:
    inventory = made(Seen("rtx", dgpu(), {}))
    first, *rest = inventory.text.splitlines()
    assert first == "# yaml-language-server: $schema=../schemas/inventory.json"
    assert "#   ansible-playbook llmops.gpu_inference.plan -i inventory/hosts.yml" in rest
    assert "#   rtx: NVIDIA GeForce RTX 5090 (31.8 GiB), 64.0 GiB of memory" in rest
    assert len(inventory.text.splitlines()) < 40


def _places(origin: str) -> str:
    """The text of all places that an origin names."""
    found = ""
    for part in origin.split("; "):
        path, _comma, sections = part.removeprefix("vLLM as in ").partition(", ")
        files = sorted((ROOT / path).rglob("*.yml")) if path.endswith("/") else [ROOT / path]
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        for section in sections.split(" and ") if sections else ():
            found += text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        found += "" if sections else text
    return found


@pytest.mark.parametrize("offer", [offer for offers in OFFERS.values() for offer in offers if "sizes" not in offer.origin])
def test_models_and_figures_stand_where_they_are_said_to(offer: Any) -> None:
    text = _places(offer.origin)
    source = offer.chat.model.entry["source"]
    assert source in text or source.removesuffix("-instruct") in text
    assert f"memory: {offer.chat.gib:g}GiB" in text
    assert offer.embedding is None or re.search(rf"memory: {offer.embedding.gib:g}GiB", text)


@pytest.mark.parametrize(
    ("variables", "command_line", "wanted"),
    [
        ({}, {}, {}),
        ({"ansible_host": "box"}, {"connection": "ssh", "become_method": "sudo", "remote_user": None}, {}),
        ({"ansible_host": "192.0.2.1", "ansible_port": 22}, {}, {"ansible_host": "192.0.2.1", "ansible_port": 22}),
        ({}, {"remote_user": "alice"}, {"ansible_user": "alice"}),
        ({"ansible_user": "bob"}, {"remote_user": "alice"}, {"ansible_user": "bob"}),
        ({}, {"private_key_file": "/k", "connection": "local"}, {"ansible_ssh_private_key_file": "/k", "ansible_connection": "local"}),
        ({"ansible_password": "s3", "ansible_become_password": "s3", "ansible_ssh_pass": "s3"}, {}, {}),
        ({}, {"ssh_common_args": "-o ProxyCommand='sshpass -p s3 ssh j'"}, {}),
        ({}, {"ssh_common_args": "-J jump", "become_method": "su"}, {"ansible_ssh_common_args": "-J jump", "ansible_become_method": "su"}),
        ({"ansible_python_interpreter": "/p", "ansible_playbook_python": "/p"}, {}, {}),
        ({"ansible_python_interpreter": "/q", "ansible_playbook_python": "/p"}, {}, {"ansible_python_interpreter": "/q"}),
    ],
)
def test_how_a_host_is_reached_is_kept_without_passwords(
    variables: dict[str, Any], command_line: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert connection_of("box", variables, command_line) == wanted


def test_a_python_that_was_found_is_taken_without_a_word_and_one_that_was_set_as_it_is() -> None:
    given = ("auto", "auto_legacy", "auto_silent", "/usr/bin/python3.12")
    assert [without_warning(one) for one in given] == ["auto_silent", "auto_legacy_silent", "auto_silent", "/usr/bin/python3.12"]


@pytest.mark.parametrize(
    ("name", "connection", "local"),
    [
        ("localhost", {}, True),
        ("127.0.1.1", {}, True),
        ("box", {"ansible_connection": "local"}, True),
        ("box", {"ansible_host": "::1"}, True),
        ("box", {"ansible_host": "192.0.2.1"}, False),
        ("127-box", {}, False),
    ],
)
def test_which_names_mean_the_machine_itself(name: str, connection: dict[str, Any], local: bool) -> None:
    assert is_local(name, connection) is local
