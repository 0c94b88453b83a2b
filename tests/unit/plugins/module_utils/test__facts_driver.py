# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import Answer
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import (
    Observations,
    PciGpu,
    find_smi,
    observe,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_facts import build_facts
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT

LOADED = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22-I3)\n"
WSL = "Linux version 6.6.87.2-microsoft-standard-WSL2 (root@439a258ad544) (gcc (GCC) 11.2.0)"
CARD = (PciGpu("0000:01:00.0", "nvidia"),)
FREE = (PciGpu("0000:01:00.0", None),)
NOT_LOADED = Answer(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that it is running.")
NO_DEVICES = Answer(6, "No devices were found\n")
ROW = "0, GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f, NVIDIA L40S, 580.95.05, 8.9, 46068, Disabled"
THOR = "# R38 (release), REVISION: 4.0, GCID: 1, BOARD: generic\n"


def smi(answer: Answer, **more: Any) -> dict[str, Any]:
    return {"smi_path": "/usr/bin/nvidia-smi", "smi_query": answer, "smi_list": answer, **more}


CASES: dict[str, tuple[dict[str, Any], str, list[str], list[str]]] = {
    # what is seen, state, words that must be said, words that must not
    "nothing": ({}, "none", [], []),
    "card without a driver": ({"pci": FREE}, "missing", ["PCI 0000:01:00.0", "no NVIDIA driver is installed. Install one and reboot"], []),
    "nouveau": ({"pci": (PciGpu("0000:01:00.0", "nouveau"),)}, "missing", ["held by the driver nouveau. Install NVIDIA's driver"], []),
    "nova": ({"pci": (PciGpu("0000:01:00.0", "nova_core"),)}, "missing", ["held by the driver nova_core"], []),
    "nouveau beside NVIDIA's": (
        smi(NOT_LOADED, pci=(PciGpu("0000:01:00.0", "nouveau"),)),
        "missing",
        ["nouveau holds it, although NVIDIA's is installed: reboot", "blacklist nouveau"],
        ["Install NVIDIA's driver"],
    ),
    "module without nvidia-smi": (
        {"pci": CARD, "proc_driver_version": LOADED},
        "missing",
        ["kernel module 580.95.05 is loaded, but nvidia-smi is not installed", "nvidia-utils-580"],
        ["no NVIDIA driver is installed"],
    ),
    "module without nvidia-smi and without a bus": (
        {"proc_driver_version": LOADED},
        "missing",
        ["kernel module 580.95.05 is loaded, but nvidia-smi is not installed"],
        [],
    ),
    "vfio": (
        {"pci": (PciGpu("0000:01:00.0", "vfio-pci"),)},
        "no_gpu",
        ["0000:01:00.0 is bound to vfio-pci", "for a virtual machine", "Take it back"],
        ["no NVIDIA GPU is on the PCI bus"],
    ),
    "vfio beside a driver": (
        smi(NO_DEVICES, pci=(PciGpu("0000:01:00.0", "vfio-pci"), PciGpu("0000:02:00.0", "pci-stub")), proc_driver_version=LOADED),
        "no_gpu",
        ["0000:01:00.0 is bound to vfio-pci, 0000:02:00.0 is bound to pci-stub", "No devices were found"],
        ["no NVIDIA GPU is on the PCI bus"],
    ),
    "driver without a GPU": (smi(NO_DEVICES, proc_driver_version=LOADED), "no_gpu", ["no NVIDIA GPU is on the PCI bus", "lspci"], []),
    "package without module and GPU": (smi(NOT_LOADED), "no_gpu", ["no NVIDIA GPU is on the PCI bus (the driver is not loaded)"], []),
    "no module for this kernel": (
        smi(NOT_LOADED, pci=FREE, module_version=Answer(1, "", "modinfo: ERROR: Module nvidia not found."), kernel="6.14.0-33-generic"),
        "missing",
        ["kernel module does not answer", "none for the running kernel 6.14.0-33-generic", "dkms autoinstall"],
        ["Secure Boot"],
    ),
    "Secure Boot": (
        smi(NOT_LOADED, pci=FREE, module_version=Answer(0, "580.95.05\n"), secure_boot=True),
        "missing",
        ["Secure Boot is on", "Key was rejected by service", "mokutil --import", "linux-modules-nvidia"],
        ["dkms"],
    ),
    "not loaded": (
        smi(NOT_LOADED, pci=FREE, module_version=Answer(0, "580.95.05\n")),
        "missing",
        ["it is there (580.95.05) but not loaded", "modprobe nvidia"],
        ["Secure Boot"],
    ),
    "no modinfo": (smi(NOT_LOADED, pci=FREE), "missing", ["kernel module does not answer", "dmesg"], []),
    "module does not serve the card": (
        smi(NO_DEVICES, pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["does not serve the card", "dmesg", "open kernel modules"],
        ["no NVIDIA GPU is on the PCI bus"],
    ),
    "permission": (
        smi(Answer(4, "Insufficient Permissions"), pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["may not open the devices"],
        [],
    ),
    "power": (smi(Answer(8, ""), pci=CARD, proc_driver_version=LOADED), "missing", ["external power cables are not attached"], []),
    "interrupt": (smi(Answer(10, ""), pci=CARD, proc_driver_version=LOADED), "missing", ["interrupts"], []),
    "library missing": (
        smi(Answer(12, "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system."), pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["libnvidia-ml.so.1 is missing", "all in one version"],
        [],
    ),
    "library differs": (smi(Answer(13, ""), pci=CARD, proc_driver_version=LOADED), "missing", ["different versions"], []),
    "all lost": (
        smi(Answer(15, "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost."), pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["fallen off the bus", "dmesg | grep -i xid"],
        ["Install"],
    ),
    "reset": (smi(Answer(16, ""), pci=CARD, proc_driver_version=LOADED), "missing", ["has to be reset", "--gpu-reset"], []),
    "cannot run": (smi(Answer(126, "", "Exec format error"), pci=CARD), "missing", ["cannot be run", "architecture"], []),
    "unknown status": (
        smi(Answer(255, "An internal driver error occurred"), pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["dmesg"],
        [],
    ),
    "infoROM and nothing else": (
        smi(Answer(14, "WARNING: infoROM is corrupted at gpu 0000:01:00.0"), pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["infoROM is corrupted"],
        [],
    ),
    "hung": (
        smi(Answer(TIMED_OUT, "", "/usr/bin/nvidia-smi gave no answer within 30 seconds"), pci=CARD, proc_driver_version=LOADED),
        "missing",
        ["does not answer, so the NVIDIA driver hangs", "within 30 seconds", "boot the host again"],
        ["Install"],
    ),
    "mismatch": (
        smi(Answer(18, "Failed to initialize NVML: Driver/library version mismatch"), pci=CARD, proc_driver_version=LOADED),
        "mismatch",
        ["reboot the host"],
        [],
    ),
    "container without devices": (
        smi(
            Answer(255, "Failed to initialize NVML: Unknown Error"),
            pci=CARD,
            proc_driver_version=LOADED,
            container="lxc",
            device_files=False,
        ),
        "missing",
        ["is a container (lxc)", "/dev/nvidiactl", "the same version"],
        ["reboot"],
    ),
    "container without devices and nvidia-smi": (
        {"pci": CARD, "proc_driver_version": LOADED, "container": "docker", "device_files": False},
        "missing",
        ["is a container (docker)"],
        ["reboot"],
    ),
    "container with other libraries": (
        smi(Answer(18, "Driver/library version mismatch"), pci=CARD, proc_driver_version=LOADED, container="lxc"),
        "mismatch",
        ["in this container (lxc)", "Install the machine's version"],
        ["reboot"],
    ),
    "WSL without a GPU": ({"proc_version": WSL, "device_files": False}, "none", [], []),
    "WSL without nvidia-smi": (
        {"proc_version": WSL},
        "missing",
        ["/dev/dxg", "install or update NVIDIA's driver in Windows", "wsl --shutdown"],
        ["reboot"],
    ),
    "WSL with packages": (
        smi(NOT_LOADED, proc_version=WSL),
        "missing",
        ["In WSL the driver belongs to Windows", "/usr/bin/nvidia-smi comes from a Linux package", "remove that driver"],
        ["Install NVIDIA's driver and reboot", "Look whether the card sits"],
    ),
    "WSL whose Windows driver is too old": (
        smi(
            Answer(17, "Failed to initialize NVML: GPU access blocked by the operating system"),
            proc_version=WSL,
            smi_path="/usr/lib/wsl/lib/nvidia-smi",
        ),
        "missing",
        ["In WSL the driver belongs to Windows", "blocked by the operating system"],
        ["Linux package"],
    ),
    "WSL 1": (
        smi(NOT_LOADED, proc_version="Linux version 4.4.0-19041-Microsoft", smi_path="/usr/lib/wsl/lib/nvidia-smi", device_files=False),
        "missing",
        ["WSL shows no /dev/dxg", "--set-version"],
        [],
    ),
    "WSL mismatch": (
        smi(Answer(18, "Driver/library version mismatch"), proc_version=WSL),
        "mismatch",
        ["of Windows and the libraries in WSL", "wsl --shutdown"],
        ["reboot"],
    ),
    "WSL hung": (smi(Answer(TIMED_OUT), proc_version=WSL), "missing", ["hangs", "wsl --shutdown"], ["boot the host"]),
    "Jetson without nvidia-smi": ({"nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1\n"}, "ok", [], []),
    "Thor without its driver": (smi(NOT_LOADED, nv_tegra_release=THOR), "missing", ["driver of the Jetson's GPU is not loaded"], []),
}


@pytest.mark.parametrize("name", CASES)
def test_each_trouble_has_its_own_cause_and_remedy(name: str) -> None:
    given, state, words, others = CASES[name]
    facts = build_facts(Observations(**given)).facts
    driver = facts["driver"]
    assert driver["state"] == state
    assert [word for word in words if word not in driver["message"]] == [], driver["message"]
    assert [word for word in others if word in driver["message"]] == [], driver["message"]
    assert state == "ok" or facts["gpus"] == []


@pytest.mark.parametrize(
    "given", [given for given, state, _words, _others in CASES.values() if "smi_query" in given and state == "missing"]
)
def test_rows_make_a_good_driver_of_all_but_a_hung_one(given: dict[str, Any]) -> None:
    seen = Observations(**given)
    if seen.smi_query.rc == TIMED_OUT:
        return
    seen = replace(seen, smi_query=Answer(seen.smi_query.rc, f"{ROW}\n{seen.smi_query.stdout}", seen.smi_query.stderr), smi_list=Answer())
    result = build_facts(seen)
    assert result.facts["driver"]["state"] == "ok"
    assert result.facts["driver"]["message"] == ""
    assert [gpu["name"] for gpu in result.facts["gpus"]] == ["NVIDIA L40S"]
    assert result.warnings


@pytest.mark.parametrize(
    ("document", "words"), [(True, "PCI 0000:82:00.0 is not listed"), (False, "PCI one of 0000:17:00.0, 0000:82:00.0")]
)
def test_a_card_that_the_driver_holds_and_does_not_list(document: bool, words: str) -> None:
    xml = '<nvidia_smi_log><gpu id="00000000:17:00.0"/></nvidia_smi_log>' if document else ""
    pci = (PciGpu("0000:17:00.0", "nvidia"), PciGpu("0000:82:00.0", "nvidia"), PciGpu("0000:83:00.0", "vfio-pci"))
    (warning,) = build_facts(Observations(pci=pci, smi_query=Answer(0, ROW), smi_xml=Answer(0, xml))).warnings
    assert words in warning


# --- looking ------------------------------------------------------------------------------------------------------


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_in_wsl_the_nvidia_smi_of_windows_is_asked_first(tmp_path: Path) -> None:
    windows, own = program(tmp_path / "usr/lib/wsl/lib/nvidia-smi"), program(tmp_path / "usr/bin/nvidia-smi")
    assert find_smi(str(tmp_path), wsl=True) == str(windows)
    assert find_smi(str(tmp_path), wsl=True, own=True) == str(own)
    assert find_smi(str(tmp_path)) == str(own)


def test_a_link_to_that_of_windows_is_not_a_package(tmp_path: Path) -> None:
    program(tmp_path / "usr/lib/wsl/lib/nvidia-smi")
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/nvidia-smi").symlink_to(tmp_path / "usr/lib/wsl/lib/nvidia-smi")
    assert find_smi(str(tmp_path), wsl=True, own=True) is None


def test_a_package_beside_the_driver_of_windows_is_told(tmp_path: Path) -> None:
    program(tmp_path / "usr/lib/wsl/lib/nvidia-smi")
    program(tmp_path / "usr/bin/nvidia-smi")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/version").write_text(WSL, encoding="utf-8")
    asked: list[str] = []

    def run(argv: Sequence[str]) -> Answer:
        asked.append(argv[0])
        return Answer(0, ROW) if "--query-gpu" in " ".join(argv) else Answer()

    result = build_facts(observe(run, str(tmp_path)))
    assert str(tmp_path / "usr/bin/nvidia-smi") not in asked
    assert (result.facts["driver"]["state"], result.facts["wsl2"]) == ("ok", True)
    assert [warning for warning in result.warnings if "belongs to Windows" in warning] == result.warnings != []


def test_what_hangs_is_asked_once(tmp_path: Path) -> None:
    smi_path = program(tmp_path / "usr/bin/nvidia-smi")
    asked: list[str] = []

    def run(argv: Sequence[str]) -> Answer:
        asked.append(argv[0])
        return Answer(TIMED_OUT, "", "no answer") if argv[0] == str(smi_path) else Answer()

    driver = build_facts(observe(run, str(tmp_path))).facts["driver"]
    assert asked.count(str(smi_path)) == 1
    assert "hangs" in driver["message"]


def test_what_files_tell(tmp_path: Path) -> None:
    def put(path: str, content: bytes) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)

    plain = observe(lambda _argv: Answer(), str(tmp_path))
    assert (plain.secure_boot, plain.container, plain.device_files) == (False, "", False)
    put("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", b"\x06\x00\x00\x00\x01")
    put("run/systemd/container", b"lxc\n")
    put("dev/nvidiactl", b"")
    told = observe(lambda _argv: Answer(), str(tmp_path))
    assert (told.secure_boot, told.container, told.device_files) == (True, "lxc", True)


def test_debian_calls_the_module_otherwise(tmp_path: Path) -> None:
    device = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n", encoding="utf-8")
    (device / "class").write_text("0x030000\n", encoding="utf-8")
    program(tmp_path / "usr/bin/nvidia-smi")

    def run(argv: Sequence[str]) -> Answer:
        if argv[0] == "modinfo":
            return Answer(0, "550.163.01\n") if argv[-1] == "nvidia-current" else Answer(1)
        return NOT_LOADED

    assert observe(run, str(tmp_path)).module_version == Answer(0, "550.163.01\n")
