# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import typing as t
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from testbed.toolkit.dress import dress, dress_kernel, names, recording

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import Answer
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import Observations, observe
from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_facts import Facts, build_facts, networks_of

DOCKER_INFO = json.dumps(
    {"ServerVersion": "28.3.3", "Runtimes": {"runc": {}, "nvidia": {}}, "CDISpecDirs": ["/etc/cdi"], "CgroupDriver": "systemd"}
)
DOCKER_VERSION = json.dumps({"Client": {}, "Server": {"Version": "28.3.3", "ApiVersion": "1.51"}})


def only_smi(argv: Sequence[str]) -> Answer:
    """Runs the played nvidia-smi of a folder; nothing else is installed there."""
    if not argv[0].endswith("nvidia-smi"):
        return Answer()
    done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def facts_of(root: Path, name: str) -> Facts:
    dress(root, name)
    dress_kernel(root, name)
    return build_facts(observe(only_smi, str(root), recording(name)["architecture"]))


def gpu(
    index: int, uuid: str, name: str, memory: int | None, capability: str | None, mig: list[dict[str, t.Any]] | None = None
) -> dict[str, t.Any]:
    return {
        "index": index,
        "uuid": uuid,
        "name": name,
        "memory_mib": memory,
        "compute_capability": capability,
        "mig_enabled": bool(mig),
        "mig": mig or [],
    }


L40S = ("GPU-8a1f0c52-7d52-4a5e-9a0c-3c3f2c9f1f11", "GPU-b7d4e1f3-0a86-4f0b-b1a9-5e2d7c8f9022")

EXPECTED: dict[str, dict[str, t.Any]] = {
    "rtx5090": {
        "platform": "dgpu",
        "architecture": "x86_64",
        "memory_mib": 64188,
        "memory_available_mib": 56758,
        "unified_memory": False,
        "wsl2": False,
        "driver": {"version": "590.44.01", "cuda": "13.1", "state": "ok", "message": ""},
        "gpus": [gpu(0, "GPU-1d2f4a6b-9c0e-4d3a-8b57-6e1f20a4c9d8", "NVIDIA GeForce RTX 5090", 32607, "12.0")],
        "l4t": None,
        "os": {"id": "ubuntu", "version": "24.04", "codename": "noble", "kernel": "6.14.0-33-generic"},
        "package_manager": None,
        "roles": [],
        "units": [],
        "networks": [],
        "rdma": False,
        "docker": {"version": None, "api_version": None, "runtimes": [], "cdi": False, "cgroup_driver": None},
        "toolkit": {"version": None, "vendor": False},
    },
    "two-gpu-server": {
        "platform": "dgpu",
        "driver": {"version": "610.43.02", "cuda": "13.3", "state": "ok", "message": ""},
        "gpus": [gpu(0, L40S[0], "NVIDIA L40S", 46068, "8.9"), gpu(1, L40S[1], "NVIDIA L40S", 46068, "8.9")],
    },
    "h200": {
        "platform": "dgpu",
        "memory_mib": 128887,
        "driver": {"version": "580.159.04", "cuda": "13.0", "state": "ok", "message": ""},
        "gpus": [gpu(0, "GPU-80219ea5-55b4-c54e-7a81-d0f289d9e697", "NVIDIA H200", 143771, "9.0")],
        "os": {"id": "debian", "version": "13", "codename": "trixie", "kernel": "6.18.44"},
    },
    "h100-mig": {
        "platform": "dgpu",
        "gpus": [
            gpu(
                0,
                "GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f",
                "NVIDIA H100 80GB HBM3",
                81559,
                "9.0",
                [
                    {"uuid": "MIG-b9ad0f5d-8a76-5a35-bd57-7d4e0d4b1c01", "profile": "3g.40gb", "memory_mib": 40448, "gpu_instance": 2},
                    {"uuid": "MIG-0fd4ac2d-5fcd-5c8b-9c3e-3ce4a0a7ff02", "profile": "1g.10gb", "memory_mib": 9984, "gpu_instance": 9},
                ],
            )
        ],
    },
    "spark": {
        "platform": "dgpu",
        "architecture": "aarch64",
        "unified_memory": True,
        "memory_mib": 122579,
        "l4t": None,
        "driver": {"version": "580.142", "cuda": "13.0", "state": "ok", "message": ""},
        "gpus": [gpu(0, "GPU-9f3c7a10-24be-4c61-8d0f-aa41c7b5e6d3", "NVIDIA GB10", 122579, "12.1")],
    },
    "orin": {
        "platform": "jetson",
        "architecture": "aarch64",
        "unified_memory": True,
        "l4t": {"release": "36.4.7", "jetpack": "6.2.1"},
        "driver": {"version": "540.4.0", "cuda": "12.6", "state": "ok", "message": ""},
        "gpus": [gpu(0, "54d0709b-1eb8-5564-9003-4d3e7ea2a3d5", "Orin (nvgpu)", 62821, "8.7")],
    },
    "xavier-jetpack5": {
        "platform": "jetson",
        "unified_memory": True,
        "l4t": {"release": "35.3.1", "jetpack": "5.1.1"},
        "driver": {"version": None, "cuda": "11.4", "state": "ok", "message": ""},
        "gpus": [gpu(0, "0", "NVIDIA Jetson Xavier NX Developer Kit", 6946, "7.2")],
    },
    "thor": {
        "platform": "jetson",
        "unified_memory": True,
        "l4t": {"release": "38.2.0", "jetpack": "7.0"},
        "driver": {"version": "580.00", "cuda": "13.0", "state": "ok", "message": ""},
        "gpus": [gpu(0, "GPU-3c6fd2ab-51f1-7d0f-8c0e-0d5c2e6fb5c4", "NVIDIA Thor", 125798, "11.0")],
    },
    "jetson-unknown": {"platform": "jetson", "l4t": {"release": "36.9.9", "jetpack": "6"}},
    "wsl2": {
        "platform": "dgpu",
        "wsl2": True,
        "driver": {"version": "580.97", "cuda": "13.0", "state": "ok", "message": ""},
        "gpus": [gpu(0, "GPU-2b8e5d70-6f14-4a9c-9e33-710c45ad9b66", "NVIDIA GeForce RTX 4070 Ti SUPER", 16376, "8.9")],
    },
    "mismatch": {"platform": "dgpu", "gpus": []},
    "driver-dead": {"platform": "dgpu", "gpus": []},
    "driver-missing": {"platform": "dgpu", "gpus": []},
    "driver-without-gpu": {"platform": "cpu", "gpus": []},
    "no-gpu": {
        "platform": "cpu",
        "gpus": [],
        "unified_memory": False,
        "driver": {"version": None, "cuda": None, "state": "none", "message": ""},
        "os": {"id": "debian", "version": "13", "codename": "trixie", "kernel": "6.12.0-amd64"},
    },
    "old-driver": {"platform": "dgpu", "gpus": [gpu(0, "GPU-1d2f4a6b-9c0e-4d3a-8b57-6e1f20a4c9d8", "Tesla T4", 15109, None)]},
}


def test_every_recording_has_an_expectation() -> None:
    assert names() == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_platforms(tmp_path: Path, name: str) -> None:
    result = facts_of(tmp_path, name)
    assert {key: result.facts[key] for key in EXPECTED[name]} == EXPECTED[name]
    assert set(result.facts) == set(EXPECTED["rtx5090"])
    assert result.warnings == []


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("mismatch", "mismatch", ["reboot the host", "Failed to initialize NVML: Driver/library version mismatch"]),
        ("driver-dead", "missing", ["0000:01:00.0", "kernel module does not answer", "couldn't communicate"]),
        ("driver-missing", "missing", ["0000:01:00.0", "nouveau", "Install NVIDIA's driver"]),
        ("driver-without-gpu", "no_gpu", ["no NVIDIA GPU is on the PCI bus", "No devices were found"]),
    ],
)
def test_driver_in_trouble_is_a_fact(tmp_path: Path, name: str, state: str, words: list[str]) -> None:
    driver = facts_of(tmp_path, name).facts["driver"]
    assert driver["state"] == state
    assert all(word in driver["message"] for word in words), driver["message"]


def test_mismatch_still_knows_the_loaded_driver(tmp_path: Path) -> None:
    assert facts_of(tmp_path, "mismatch").facts["driver"]["version"] == "580.95.05"


def test_a_gpu_given_to_a_virtual_machine_is_not_ours(tmp_path: Path) -> None:
    dress_kernel(tmp_path, "driver-missing")
    link = tmp_path / "sys/bus/pci/devices/0000:01:00.0/driver"
    link.unlink()
    link.symlink_to("../../drivers/vfio-pci")
    facts = build_facts(observe(only_smi, str(tmp_path))).facts
    assert (facts["platform"], facts["driver"]["state"]) == ("cpu", "no_gpu")
    assert "PCI 0000:01:00.0 is bound to vfio-pci" in facts["driver"]["message"]


def test_gpu_without_any_driver(tmp_path: Path) -> None:
    dress_kernel(tmp_path, "driver-dead")
    driver = build_facts(observe(only_smi, str(tmp_path))).facts["driver"]
    assert driver["state"] == "missing"
    assert "no NVIDIA driver is installed" in driver["message"]


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [
        ("R32 (release), REVISION: 6.1", "4.6"),
        ("R35 (release), REVISION: 1.0", "5.0.2"),
        ("R35 (release), REVISION: 6.2", "5.1.5"),
        ("R35 (release), REVISION: 6.3", "5.1.5"),
        ("R36 (release), REVISION: 2.0", "6.0"),
        ("R36 (release), REVISION: 4.2", "6.1"),
        ("R39 (release), REVISION: 0.0", "7.2"),
        ("R36 (release), REVISION: 6.0", "6"),
        ("R39 (release), REVISION: 4.1", "7"),
        ("R35 (release), REVISION: 7", "5"),
        ("R41 (release), REVISION: 1.0", None),
    ],
)
def test_jetpack_releases_by_table_and_by_rule(release: str, jetpack: str | None) -> None:
    result = build_facts(Observations(nv_tegra_release=f"# {release}, GCID: 1, BOARD: generic\n"))
    assert result.facts["l4t"]["jetpack"] == jetpack
    assert bool(result.warnings) is (jetpack is None)


def test_jetpack_table_can_be_extended(tmp_path: Path) -> None:
    dress(tmp_path, "jetson-unknown")
    result = build_facts(observe(only_smi, str(tmp_path)), {"36.9.9": "6.9"})
    assert result.facts["l4t"] == {"release": "36.9.9", "jetpack": "6.9"}
    assert result.warnings == []


IGX = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025\n"
RTX_6000 = "0, GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f, NVIDIA RTX 6000 Ada Generation, 570.133.20, 8.9, 49140, [N/A]"
THOR = "1, GPU-3c6fd2ab-51f1-7d0f-8c0e-0d5c2e6fb5c4, NVIDIA Thor, 580.00, 11.0, [N/A], Disabled"
MEMINFO = "MemTotal: 64329300 kB\nMemAvailable: 60120340 kB\n"


@pytest.mark.parametrize("rows", [[RTX_6000], [RTX_6000, THOR]])
def test_an_igx_with_a_card_has_memory_of_its_own_for_it(rows: list[str]) -> None:
    seen = Observations(nv_tegra_release=IGX, compatible="nvidia,tegra234\0", meminfo=MEMINFO, smi_query=Answer(0, "\n".join(rows)))
    result = build_facts(seen)
    assert (result.facts["platform"], result.facts["unified_memory"]) == ("dgpu", False)
    assert [item["memory_mib"] for item in result.facts["gpus"]] == [49140]
    assert result.facts["l4t"] == {"release": "36.4.3", "jetpack": "6.2"}
    assert [warning for warning in result.warnings if "NVIDIA Thor, which shares its memory" in warning] == result.warnings
    assert len(result.warnings) == len(rows) - 1


@pytest.mark.parametrize(
    ("row", "unified", "memory"),
    [
        ("0, GPU-1, NVIDIA GH200 480GB, 580.95.05, 9.0, 97871, Disabled", False, 97871),
        ("0, GPU-1, NVIDIA GB200, 580.95.05, 10.0, 189471, Disabled", False, 189471),
        ("0, GPU-1, NVIDIA GB10, 580.142, 12.1, [N/A], [N/A]", True, 62821),
        ("0, GPU-1, NVIDIA GB10, 580.142, [N/A], [N/A], [N/A]", True, 62821),
        ("0, GPU-1, NVIDIA GeForce RTX 5090, 590.44.01, 12.0, [N/A], [N/A]", False, None),
    ],
)
def test_which_gpus_share_the_memory(row: str, unified: bool, memory: int | None) -> None:
    facts = build_facts(Observations(architecture="aarch64", meminfo=MEMINFO, smi_query=Answer(0, row))).facts
    assert (facts["platform"], facts["unified_memory"], facts["gpus"][0]["memory_mib"]) == ("dgpu", unified, memory)


@pytest.mark.parametrize(
    ("line", "release"),
    [
        ("# R32 (release), REVISION: 7.1, GCID: 29689809, BOARD: t186ref, EABI: aarch64, DATE: Wed Feb  2 21:33:23 UTC 2022", "32.7.1"),
        ("# R39 (release), REVISION: 2.0, GCID: 45755727, BOARD: generic, EABI: aarch64, DATE: Mon Jun  1 09:28:48 PM UTC 2026", "39.2.0"),
    ],
)
def test_l4t(line: str, release: str) -> None:
    facts = build_facts(Observations(nv_tegra_release=line)).facts
    assert facts["l4t"]["release"] == release
    assert facts["platform"] == "jetson"


def test_unreadable_l4t_release_is_a_warning() -> None:
    result = build_facts(Observations(nv_tegra_release="something else", compatible="x\0nvidia,tegra234\0"))
    assert result.facts["platform"] == "jetson"
    assert result.facts["l4t"] is None
    assert "does not begin as expected" in result.warnings[0]


@pytest.mark.parametrize(
    ("package", "cli", "jetson", "managed", "expected"),
    [
        (Answer(0, "installed 1.19.1-1"), Answer(), False, False, {"version": "1.19.1", "vendor": False}),
        (Answer(0, "installed 1.16.2-1"), Answer(), True, False, {"version": "1.16.2", "vendor": True}),
        (Answer(0, "installed 1.19.1-1"), Answer(), True, True, {"version": "1.19.1", "vendor": False}),
        (Answer(0, "config-files 1.17.8-1"), Answer(), False, False, {"version": None, "vendor": False}),
        (
            Answer(1),
            Answer(0, "NVIDIA Container Toolkit CLI version 1.17.8\ncommit: f202b80a9b9d0db00d9b1d73c0128c8962c55f4d\n"),
            False,
            False,
            {"version": "1.17.8", "vendor": False},
        ),
        (Answer(1), Answer(127), False, False, {"version": None, "vendor": False}),
    ],
)
def test_toolkit(package: Answer, cli: Answer, jetson: bool, managed: bool, expected: dict[str, t.Any]) -> None:
    release = "# R36 (release), REVISION: 4.7, GCID: 1" if jetson else None
    seen = Observations(nv_tegra_release=release, toolkit_package=package, toolkit_cli=cli, toolkit_managed=managed)
    assert build_facts(seen).facts["toolkit"] == expected


@pytest.mark.parametrize(
    ("info", "version", "expected"),
    [
        (
            Answer(0, DOCKER_INFO),
            Answer(0, DOCKER_VERSION),
            {"version": "28.3.3", "api_version": "1.51", "runtimes": ["nvidia", "runc"], "cdi": True, "cgroup_driver": "systemd"},
        ),
        (
            Answer(1, '{"ServerVersion": "", "ServerErrors": ["Cannot connect to the Docker daemon"]}'),
            Answer(1, '{"Client": {}, "Server": null}'),
            {"version": None, "api_version": None, "runtimes": [], "cdi": False, "cgroup_driver": None},
        ),
        (
            Answer(0, "no JSON"),
            Answer(0, "[]"),
            {"version": None, "api_version": None, "runtimes": [], "cdi": False, "cgroup_driver": None},
        ),
    ],
)
def test_docker(info: Answer, version: Answer, expected: dict[str, t.Any]) -> None:
    assert build_facts(Observations(docker_info=info, docker_version=version)).facts["docker"] == expected


NOISE = st.one_of(
    st.builds(Answer),
    st.builds(Answer, st.sampled_from([0, 1, 2, 9, 18]), st.text(max_size=60), st.text(max_size=20)),
    st.builds(
        Answer,
        st.just(0),
        st.sampled_from(
            [
                "0, GPU-1, x, 590, 12.0, 100, [N/A]",
                "<nvidia_smi_log><gpu/></nvidia_smi_log>",
                "GPU 0: x (UUID: y)",
                '{"Runtimes": null}',
                "{}",
                "installed 1.2.3-1",
            ]
        ),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(NOISE, min_size=7, max_size=7), st.one_of(st.none(), st.text(max_size=40)), st.text(max_size=40))
def test_never_a_traceback(answers: list[Answer], tegra: str | None, meminfo: str) -> None:
    query, listed, xml, info, version, package, cli = answers
    seen = Observations(
        nv_tegra_release=tegra,
        meminfo=meminfo,
        smi_query=query,
        smi_list=listed,
        smi_xml=xml,
        docker_info=info,
        docker_version=version,
        toolkit_package=package,
        toolkit_cli=cli,
    )
    json.dumps(build_facts(seen).facts)


def test_networks_by_which_other_hosts_reach_this_one() -> None:
    text = """lo               UNKNOWN        127.0.0.1/8 ::1/128
enp1s0f0np0      UP             192.168.100.1/24 fe80::4ab0:2dff:fe12:1/64
enP7s7           UP             10.0.0.1/24 metric 100 2001:db8::1/64
eth0@if12        UP             169.254.7.3/16
docker0          DOWN           172.17.0.1/16
br-0123456789ab  UP             10.89.16.1/24
br0              UP             192.168.7.2/24
veth01@if2       UP             fe80::1/64
virbr0           DOWN           192.168.122.1/24
l4tbr0           UP             192.168.55.1/24
tun0             UNKNOWN        10.8.0.2 peer 10.8.0.1/32
wlp9s9           DOWN

"""
    assert {item["interface"]: item["addresses"] for item in networks_of(text)} == {
        "enp1s0f0np0": ["192.168.100.1/24"],
        "enP7s7": ["10.0.0.1/24", "2001:db8::1/64"],
        "eth0": ["169.254.7.3/16"],
        "br0": ["192.168.7.2/24"],
    }
    assert networks_of("") == []


@pytest.mark.parametrize(("files", "expected"), [((), False), (("rdma_cm",), False), (("rdma_cm", "uverbs3"), True)])
def test_devices_for_rdma(tmp_path: Path, files: tuple[str, ...], expected: bool) -> None:
    folder = tmp_path / "dev/infiniband"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).touch()
    assert build_facts(observe(only_smi, str(tmp_path))).facts["rdma"] is expected
