# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plan makes of a host's facts, as they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.inventories import MODELS, cpu, dgpu, gpu, host, inventory, jetson, one, service, spark, variables
from testbed.toolkit.dress import dress, dress_kernel, names, recording

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import Answer
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import Observations, PciGpu, observe
from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_facts import build_facts
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.findings import Report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import read_hardware
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_hardware import check_declared


def findings(inv: dict[str, Any]) -> list[str]:
    with pytest.raises(PlanError) as caught:
        build_plan(inv)
    return [str(finding) for finding in caught.value.findings]


def gpus_of(plan: dict[str, Any]) -> dict[str, list[str]]:
    return {item["name"]: item["gpus"] for item in plan["hosts"]["node1"]["vllm"]}


# --- drivers -----------------------------------------------------------------------------------------------------

LOADED = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n"
NO_GPU = build_facts(
    Observations(
        smi_path="/usr/bin/nvidia-smi",
        smi_query=Answer(6, "No devices were found"),
        proc_driver_version=LOADED,
        meminfo="MemTotal: 67108864 kB\n",
    )
).facts
VFIO = build_facts(Observations(pci=(PciGpu("0000:01:00.0", "vfio-pci"),), meminfo="MemTotal: 67108864 kB\n")).facts


@pytest.mark.parametrize("facts", [NO_GPU, VFIO])
def test_a_driver_without_a_gpu_is_not_the_cpu_without_a_word(facts: dict[str, Any]) -> None:
    warned = [text for text in build_plan(one(service(), hardware=facts))["warnings"] if "run on the CPU" in text]
    assert len(warned) == 1
    assert facts["driver"]["message"] in warned[0]
    assert "inference_platform: cpu" in warned[0]
    for quiet in (
        one(service(), hardware=facts, inference_platform="cpu"),
        one(service(device="cpu"), hardware=facts),
        one(service(), hardware=cpu()),
    ):
        assert not any("run on the CPU" in text for text in build_plan(quiet)["warnings"])


@pytest.mark.parametrize("facts", [NO_GPU, VFIO])
def test_in_the_group_dgpu_it_is_an_error(facts: dict[str, Any]) -> None:
    (finding,) = findings(one(service(), hardware=facts, inference_platform_expected="dgpu"))
    assert facts["driver"]["message"] in finding


@pytest.mark.parametrize(
    ("seen", "words", "not_said"),
    [
        (
            Observations(proc_version="Linux version 6.6-microsoft-standard-WSL2", smi_path="/usr/bin/nvidia-smi", smi_query=Answer(9)),
            ["no working driver", "the driver belongs to Windows", "wsl --shutdown"],
            "Install or repair the driver",
        ),
        (Observations(pci=(PciGpu("0000:01:00.0", "nouveau"),)), ["no working driver", "held by the driver nouveau"], "Windows"),
        (
            Observations(smi_path="/usr/bin/nvidia-smi", smi_query=Answer(124, "", "no answer"), pci=(PciGpu("0000:01:00.0", "nvidia"),)),
            ["no working driver", "hangs"],
            "Install",
        ),
    ],
)
def test_a_finding_has_the_cause_and_one_remedy(seen: Observations, words: list[str], not_said: str) -> None:
    (finding,) = findings(one(service(), hardware=build_facts(seen).facts))
    assert [word for word in words if word not in finding] == []
    assert not_said not in finding
    assert finding.endswith("To serve on the CPU although there is a GPU, set inference_platform: cpu")


# --- MIG ---------------------------------------------------------------------------------------------------------

SLICES = [
    {"uuid": "MIG-1", "profile": "1c.3g.40gb", "memory_mib": 40960, "gpu_instance": 1},
    {"uuid": "MIG-2", "profile": "2c.3g.40gb", "memory_mib": 40960, "gpu_instance": 1},
    {"uuid": "MIG-3", "profile": "3g.40gb", "memory_mib": 40960, "gpu_instance": 2},
]
BARE = gpu(0, name="NVIDIA H100", mig_enabled=True, memory_mib=81559, compute_capability="9.0")


@pytest.mark.parametrize(
    "asked", [service(memory=0.5), service(memory=0.5, gpus=[0]), service(gpus=["GPU-00000000"]), service(tensor_parallel_size=1)]
)
def test_mig_without_slices_is_refused_with_the_command_that_makes_them(asked: dict[str, Any]) -> None:
    (finding,) = findings(one(asked, hardware=dgpu(BARE)))
    assert "has MIG enabled and no slices" in finding
    assert "nvidia-smi mig -i 0 -cgi PROFILE,PROFILE -C" in finding
    assert "nvidia-smi -i 0 -mig 0" in finding


def test_mig_without_slices_on_one_gpu_leaves_the_other() -> None:
    hardware = dgpu(BARE, gpu(1))
    assert gpus_of(build_plan(one(service(memory=0.9), hardware=hardware)))["chat"] == ["GPU-00000001"]
    (finding,) = findings(one(service(memory=0.9, gpus=[0]), hardware=hardware))
    assert "has MIG enabled and no slices" in finding
    assert build_plan(one(service(device="cpu", memory="4GiB"), hardware=dgpu(BARE)))["table"]


@pytest.mark.parametrize(("first", "second", "fits"), [("MIG-1", "MIG-2", False), ("MIG-1", "MIG-3", True)])
@pytest.mark.parametrize("memory", ["24GiB", 0.6])
def test_compute_instances_of_one_gpu_instance_share_its_memory(first: str, second: str, fits: bool, memory: Any) -> None:
    hardware = dgpu(gpu(0, name="NVIDIA H100", mig=SLICES, mig_enabled=True, memory_mib=81559, compute_capability="9.0"))
    inv = one(service(memory=memory, gpus=[first]), service("embedding", 8090, memory=memory, gpus=[second]), hardware=hardware)
    if fits:
        assert gpus_of(build_plan(inv)) == {"chat": [first], "embedding": [second]}
        return
    (finding,) = findings(inv)
    assert "the GPU instance of the slices 0:0, 0:1" in finding


def test_declared_slices_know_by_their_profile_what_they_share() -> None:
    slices = [{"uuid": f"MIG-{number}", "profile": profile} for number, profile in enumerate(("1c.3g.40gb", "2c.3g.40gb", "3g.40gb"))]
    declared = {"platform": "dgpu", "memory": "64GiB", "gpus": [{"name": "H100", "mig": slices, "compute_capability": "9.0"}]}
    hardware = read_hardware(check_declared(declared, Report()), "inference_hardware")
    assert hardware is not None
    assert [device.memory_mib for device in hardware.devices] == [40960.0] * 3
    assert hardware.devices[0].memory_key == hardware.devices[1].memory_key != hardware.devices[2].memory_key


# --- memory that is not known -----------------------------------------------------------------------------------

UNKNOWN = gpu(0, memory_mib=None, name="NVIDIA A30")


@pytest.mark.parametrize("others", [(), (gpu(1),)])
def test_a_size_on_a_gpu_of_unknown_memory_is_refused_alone_and_beside_others(others: tuple[dict[str, Any], ...]) -> None:
    (finding,) = findings(one(service(memory="12GiB", gpus=[0]), hardware=dgpu(UNKNOWN, *others)))
    assert "the memory of GPU 0 (NVIDIA A30) is not known; declare it in inference_hardware" in finding


@pytest.mark.parametrize("others", [(), (gpu(1),)])
@pytest.mark.parametrize("asked", [{"memory": 0.5}, {}])
def test_a_fraction_there_is_warned_of_alone_and_beside_others(others: tuple[dict[str, Any], ...], asked: dict[str, Any]) -> None:
    plan = build_plan(one(service(gpus=[0], **asked), hardware=dgpu(UNKNOWN, *others)))
    assert sum("the memory of GPU 0 (NVIDIA A30) is not known" in text for text in plan["warnings"]) == 1


def test_a_service_without_a_given_gpu_goes_where_the_memory_is_known() -> None:
    plan = build_plan(one(service(memory="12GiB"), service("embedding", 8090, memory=0.3), hardware=dgpu(UNKNOWN, gpu(1))))
    assert gpus_of(plan) == {"chat": ["GPU-00000001"], "embedding": ["GPU-00000001"]}
    assert not any("not known" in text for text in plan["warnings"])


@pytest.mark.parametrize(
    ("hardware", "platform"), [(dgpu(UNKNOWN), None), (spark(memory_mib=None), None), (jetson(memory_mib=None), None), (None, "dgpu")]
)
def test_fractions_of_one_gpu_above_one_are_refused_whatever_its_memory(hardware: dict[str, Any] | None, platform: str | None) -> None:
    services = [service(memory=0.7, gpus=[0]), service("embedding", 8090, memory=0.5, gpus=[0])]
    more = {"inference_platform": platform} if platform else {}
    inv = inventory(node1=host("inference_nodes", "gateways", hardware=hardware, **variables(*services, **more)))
    (finding,) = findings(inv)
    assert "with embedding that is 1.2 of it, more than 1" in finding
    assert "embedding 0.5 does not fit" in finding
    services[1]["memory"] = 0.3
    assert build_plan(inv)["table"]


# --- GPUs of different kinds ------------------------------------------------------------------------------------


def test_a_card_that_vllm_has_no_code_for_is_left_to_others() -> None:
    old = gpu(0, name="NVIDIA GeForce GTX 1080", compute_capability="6.1", memory_mib=8192)
    hardware = dgpu(old, gpu(1))
    models = {**MODELS, "small": {"source": "qwen3:4b"}}
    inv = one(service(memory="4GiB"), service("small", 11434, memory="4GiB"), hardware=hardware, inference_models=models)
    plan = build_plan(inv)
    assert gpus_of(plan) == {"chat": ["GPU-00000001"]}
    assert plan["hosts"]["node1"]["ollama"][0]["gpus"] == ["GPU-00000000"]
    for refused in (one(service(memory="4GiB", gpus=[0]), hardware=hardware), one(service(memory="4GiB"), hardware=dgpu(old))):
        (finding,) = findings(refused)
        assert "GTX 1080 has compute capability 6.1, vLLM needs 7.5" in finding


def test_an_igx_with_a_card_gets_the_images_of_other_machines() -> None:
    card = {"name": "NVIDIA RTX 6000 Ada Generation", "memory_mib": 49140, "compute_capability": "8.9"}
    for platform in ({"platform": "dgpu"}, {}):
        facts = {**dgpu(gpu(0, **card)), "l4t": {"release": "36.4.3", "jetpack": "6.2"}, **platform}
        if not platform:
            del facts["platform"]
        plan = build_plan(one(service(memory="40GiB"), hardware=facts))
        (row,) = plan["table"]
        assert (row["platform"], row["memory_left"], row["image"]) == ("dgpu", 5.6, "vllm/vllm-openai:v0.32.0")


@pytest.mark.parametrize(
    ("name", "capability", "unified"),
    [("GB10", None, True), ("NVIDIA GB10", "12.1", True), ("NVIDIA GH200 480GB", "9.0", False), ("RTX 5090", "12.0", False)],
)
def test_declared_gpus_that_share_the_memory_are_known_by_their_kind(name: str, capability: str | None, unified: bool) -> None:
    declared = {"memory": "119GiB", "gpus": [{"name": name, "memory": "96GiB", "compute_capability": capability}]}
    hardware = read_hardware(check_declared(declared, Report()), "inference_hardware")
    assert hardware is not None
    assert (hardware.platform, hardware.unified) == ("dgpu", unified)


@pytest.mark.parametrize("name", names())
def test_facts_can_be_pasted_into_an_inventory(tmp_path: Path, name: str) -> None:
    dress(tmp_path, name)
    dress_kernel(tmp_path, name)

    def run(argv: Sequence[str]) -> Answer:
        if not argv[0].endswith("nvidia-smi"):
            return Answer()
        done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    facts = json.loads(json.dumps(build_facts(observe(run, str(tmp_path), recording(name)["architecture"])).facts))
    report = Report()
    again = read_hardware(check_declared(facts, report), "facts")
    assert report.findings == []
    assert again == read_hardware(facts, "facts")
