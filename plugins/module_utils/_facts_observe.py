# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Looking at a host: the files that are read and the programs that are asked, before anything is decided."""

from __future__ import annotations

import glob
import os
import re
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import QUERY_FIELDS, Answer
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_system import package_manager

WSL_LIBRARY = "usr/lib/wsl/lib"
_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


UNASKED = Answer()

#: What roles of the collection leave on a host, to take it back later.
TRACES = {
    "clients": "etc/gpu-inference/clients/manifest.json",
    "node_proxy": "etc/systemd/system/gpu-inference-proxy.service",
    "nvidia_container_toolkit": "etc/gpu-inference/nvidia_container_toolkit.json",
}


@dataclass(frozen=True)
class PciGpu:
    """A display controller or accelerator of NVIDIA on the PCI bus, and the kernel driver that holds it."""

    address: str
    driver: str | None


@dataclass(frozen=True)
class Observations:
    """Everything that the facts are made of."""

    architecture: str = "x86_64"
    kernel: str = ""
    proc_version: str = ""
    meminfo: str = ""
    os_release: str = ""
    nv_tegra_release: str | None = None
    compatible: str = ""
    model: str = ""
    dgx_release: bool = False
    container: str = ""  # the kind of container that this host is, empty for a machine
    device_files: bool = True  # /dev/nvidiactl, or /dev/dxg in WSL
    secure_boot: bool = False
    pci: tuple[PciGpu, ...] = ()
    proc_driver_version: str | None = None
    module_version: Answer = UNASKED  # of the module nvidia for the running kernel; asked only where nvidia-smi shows no GPU
    smi_path: str | None = None
    smi_own: bool = False  # in WSL: a nvidia-smi of Linux packages lies beside that of Windows, or in its place
    smi_query: Answer = UNASKED
    smi_query_fields: tuple[str, ...] = QUERY_FIELDS
    smi_list: Answer = UNASKED
    smi_xml: Answer = UNASKED
    docker_info: Answer = UNASKED
    docker_version: Answer = UNASKED
    toolkit_package: Answer = UNASKED
    toolkit_cli: Answer = UNASKED
    toolkit_managed: bool = False
    package_manager: str | None = None
    roles: tuple[str, ...] = ()  # those of TRACES
    units: tuple[str, ...] = ()  # kinds of units of this collection that have an instance here
    addresses: Answer = UNASKED  # of network interfaces
    rdma: bool = False  # a network card whose memory transfers programs can order themselves (InfiniBand, RoCE)

    @property
    def wsl(self) -> bool:
        return "microsoft" in self.proc_version.lower()


Run = t.Callable[[Sequence[str]], Answer]


def observe(run: Run, root: str = "/", architecture: str = "", kernel: str = "") -> Observations:
    """Read the files below `root` and ask the programs; `run` starts a command, gives it a time limit, and never raises."""
    proc_version = _read(root, "proc/version")
    wsl = "microsoft" in proc_version.lower()
    smi = find_smi(root, wsl)
    own = find_smi(root, wsl, own=True) if wsl else None
    fields, query = _query(run, smi) if smi else (QUERY_FIELDS, Answer())
    # One that hangs hangs in the driver: it would hang again.
    ask = run if query.rc != TIMED_OUT else lambda _argv: query
    pci = tuple(_pci_gpus(root))
    trouble = query.rc != 0 and bool(pci)
    os_release = _read(root, "etc/os-release")
    return Observations(
        architecture=architecture,
        kernel=_read(root, "proc/sys/kernel/osrelease").strip() or kernel,
        proc_version=proc_version,
        meminfo=_read(root, "proc/meminfo"),
        os_release=os_release,
        nv_tegra_release=_read_or_none(root, "etc/nv_tegra_release"),
        compatible=_read(root, "proc/device-tree/compatible"),
        model=_read(root, "proc/device-tree/model").strip("\0\n "),
        dgx_release=os.path.exists(os.path.join(root, "etc/dgx-release")),
        container=_container(root),
        device_files=os.path.exists(os.path.join(root, "dev", "dxg" if wsl else "nvidiactl")),
        secure_boot=_read_bytes(root, _SECURE_BOOT)[-1:] == b"\x01",
        pci=pci,
        proc_driver_version=_read_or_none(root, "proc/driver/nvidia/version"),
        module_version=_module_version(run) if trouble else Answer(),
        smi_path=smi,
        smi_own=own is not None,
        smi_query=query,
        smi_query_fields=fields,
        smi_list=ask([smi, "-L"]) if smi else Answer(),
        smi_xml=ask([smi, "-q", "-x"]) if smi else Answer(),
        docker_info=run(["docker", "info", "--format", "{{json .}}"]),
        docker_version=run(["docker", "version", "--format", "{{json .}}"]),
        toolkit_package=_package_version(run, "nvidia-container-toolkit"),
        toolkit_cli=run(["nvidia-ctk", "--version"]),
        toolkit_managed=os.path.exists(os.path.join(root, "etc/apt/preferences.d/gpu-inference-nvidia-container-toolkit")),
        package_manager=package_manager(os_release, root),
        roles=tuple(role for role, path in TRACES.items() if os.path.exists(os.path.join(root, path))),
        units=_kinds(root),
        addresses=run(["ip", "-brief", "address", "show"]),
        rdma=bool(glob.glob(os.path.join(glob.escape(root), "dev/infiniband/uverbs*"))),
    )


def _kinds(root: str) -> tuple[str, ...]:
    found = glob.glob(os.path.join(glob.escape(root), "etc/gpu-inference/instances/*/*/service.json"))
    return tuple(sorted({path.split(os.sep)[-3] for path in found}))


def _query(run: Run, smi: str) -> tuple[tuple[str, ...], Answer]:
    """Older drivers refuse the whole query for one field that they do not know; leave that one out."""
    fields = QUERY_FIELDS
    while True:
        answer = run([smi, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"])
        unknown = re.search(r'Field "([^"]+)" is not a valid field', answer.text)
        if not unknown or unknown.group(1) not in fields:
            return fields, answer
        fields = tuple(name for name in fields if name != unknown.group(1))


def find_smi(root: str, wsl: bool = False, own: bool = False) -> str | None:
    """Where nvidia-smi is. In WSL that of Windows comes first: one of Linux packages cannot see a GPU there.

    C(own): only one that is not of Windows.
    """
    directories = ["usr/bin", "usr/local/bin", "usr/sbin", "usr/local/sbin", "bin"]
    if os.path.abspath(root) == "/":
        directories += [path.lstrip("/") for path in os.environ.get("PATH", "").split(os.pathsep) if path]
    directories.insert(0 if wsl else len(directories), WSL_LIBRARY)
    for directory in directories:
        path = os.path.join(root, directory, "nvidia-smi")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            windows = os.path.join(root, WSL_LIBRARY) in os.path.realpath(path)
            if not (own and windows):
                return path
    return None


def _package_version(run: Run, name: str) -> Answer:
    answer = run(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name])
    if answer.rc is None:
        answer = run(["rpm", "--query", "--queryformat", "installed %{VERSION}-%{RELEASE}", name])
    return answer


def _module_version(run: Run) -> Answer:
    """The module that lies ready for the running kernel; Debian calls it nvidia-current."""
    answers = [run(["modinfo", "--field", "version", name]) for name in ("nvidia", "nvidia-current")]
    return next((answer for answer in answers if answer.rc == 0), answers[0])


def _container(root: str) -> str:
    """What kind of container this is: systemd writes it down, Docker leaves a file."""
    return _read(root, "run/systemd/container").strip() or ("docker" if os.path.exists(os.path.join(root, ".dockerenv")) else "")


def _pci_gpus(root: str) -> t.Iterator[PciGpu]:
    folder = os.path.join(root, "sys/bus/pci/devices")
    try:
        addresses = sorted(os.listdir(folder))
    except OSError:
        return
    for address in addresses:
        device = os.path.join("sys/bus/pci/devices", address)
        if _read(root, f"{device}/vendor").strip() == "0x10de" and _read(root, f"{device}/class").startswith("0x03"):
            link = os.path.join(root, device, "driver")
            driver = os.path.basename(os.path.realpath(link)) if os.path.lexists(link) else None
            yield PciGpu(address, driver)


def _read_bytes(root: str, path: str) -> bytes:
    try:
        with open(os.path.join(root, path), "rb") as file:
            return file.read()
    except OSError:
        return b""


def _read_or_none(root: str, path: str) -> str | None:
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _read(root: str, path: str) -> str:
    return _read_or_none(root, path) or ""
