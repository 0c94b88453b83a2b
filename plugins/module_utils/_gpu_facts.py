# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What kind of inference machine this is, from files and from what nvidia-smi and docker print.

The banner of nvidia-smi is never read: driver 610 renamed its fields. Whatever is missing or broken becomes a fact, not an exception.
"""

from __future__ import annotations

import json
import os
import re
import typing as t
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

Platform = t.Literal["dgpu", "jetson", "cpu"]
DriverState = t.Literal["ok", "missing", "mismatch", "no_gpu", "none"]

QUERY_FIELDS: tuple[str, ...] = ("index", "uuid", "name", "driver_version", "compute_cap", "memory.total", "mig.mode.current")

#: L4T release -> JetPack release.
JETPACK_RELEASES: Mapping[str, str] = {
    "32.7.1": "4.6.1",
    "32.7.2": "4.6.2",
    "32.7.3": "4.6.3",
    "32.7.4": "4.6.4",
    "32.7.5": "4.6.5",
    "32.7.6": "4.6.6",
    "35.2.1": "5.1",
    "35.3.1": "5.1.1",
    "35.4.1": "5.1.2",
    "35.5.0": "5.1.3",
    "35.6.0": "5.1.4",
    "35.6.1": "5.1.5",
    "35.6.4": "5.1.6",
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5.0": "6.2.2",
    "38.2.0": "7.0",
    "38.2.1": "7.0",
    "38.2.2": "7.0",
    "38.4.0": "7.1",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
}
#: Beginning of an L4T release -> CUDA of its driver. The longest beginning counts.
L4T_CUDA: Mapping[str, str] = {"32.": "10.2", "35.": "11.4", "36.3": "12.2", "36.": "12.6", "38.": "13.0", "39.": "13.2"}
#: Beginning of an L4T release -> compute capability, where all its boards have the same.
L4T_CAPABILITY: Mapping[str, str] = {"36.": "8.7", "38.": "11.0"}
#: Chip in the device tree, or a part of the GPU's name -> compute capability.
CHIP_CAPABILITY: Mapping[str, str] = {
    "nvidia,tegra194": "7.2",
    "nvidia,tegra234": "8.7",
    "nvidia,tegra264": "11.0",
    "Xavier": "7.2",
    "Orin": "8.7",
    "Thor": "11.0",
    "GB10": "12.1",
}
#: Chips that share their memory with the CPU.
UNIFIED_CAPABILITIES = frozenset({"5.3", "6.2", "7.2", "8.7", "11.0", "12.1"})

_ABSENT = re.compile(r"^\[?\s*(n/a|not supported|unknown error|insufficient permissions|gpu is lost|)\s*\]?$", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a command printed; `rc` is None where there is no such command."""

    rc: int | None = None
    stdout: str = ""
    stderr: str = ""

    @property
    def text(self) -> str:
        return f"{self.stdout}\n{self.stderr}".strip()


@dataclass(frozen=True)
class MigSlice:
    uuid: str
    profile: str
    memory_mib: int | None


@dataclass(frozen=True)
class Gpu:
    index: int
    uuid: str
    name: str
    memory_mib: int | None
    compute_capability: str | None
    mig: tuple[MigSlice, ...] = ()


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
    wsl_library: bool = False
    dgx_release: bool = False
    pci: tuple[PciGpu, ...] = ()
    proc_driver_version: str | None = None
    smi_query: Answer = Answer()
    smi_query_fields: tuple[str, ...] = QUERY_FIELDS
    smi_list: Answer = Answer()
    smi_xml: Answer = Answer()
    docker_info: Answer = Answer()
    docker_version: Answer = Answer()
    toolkit_package: Answer = Answer()
    toolkit_cli: Answer = Answer()
    toolkit_managed: bool = False


@dataclass
class Facts:
    """The facts, and warnings for people."""

    facts: dict[str, t.Any]
    warnings: list[str] = field(default_factory=list)


Run = t.Callable[[Sequence[str]], Answer]


# ---------------------------------------------------------------------------------------------------------------- looking


def observe(run: Run, root: str = "/", architecture: str = "", kernel: str = "") -> Observations:
    """Read the files below `root` and ask the programs; `run` starts a command and never raises."""
    smi = _find_smi(root)
    fields, query = QUERY_FIELDS, Answer()
    if smi:
        fields, query = _query(run, smi)
    return Observations(
        architecture=architecture,
        kernel=_read(root, "proc/sys/kernel/osrelease").strip() or kernel,
        proc_version=_read(root, "proc/version"),
        meminfo=_read(root, "proc/meminfo"),
        os_release=_read(root, "etc/os-release"),
        nv_tegra_release=_read_or_none(root, "etc/nv_tegra_release"),
        compatible=_read(root, "proc/device-tree/compatible"),
        model=_read(root, "proc/device-tree/model").strip("\0\n "),
        wsl_library=os.path.isdir(os.path.join(root, "usr/lib/wsl/lib")),
        dgx_release=os.path.exists(os.path.join(root, "etc/dgx-release")),
        pci=tuple(_pci_gpus(root)),
        proc_driver_version=_read_or_none(root, "proc/driver/nvidia/version"),
        smi_query=query,
        smi_query_fields=fields,
        smi_list=run([smi, "-L"]) if smi else Answer(),
        smi_xml=run([smi, "-q", "-x"]) if smi else Answer(),
        docker_info=run(["docker", "info", "--format", "{{json .}}"]),
        docker_version=run(["docker", "version", "--format", "{{json .}}"]),
        toolkit_package=_package_version(run, "nvidia-container-toolkit"),
        toolkit_cli=run(["nvidia-ctk", "--version"]),
        toolkit_managed=os.path.exists(os.path.join(root, "etc/apt/preferences.d/gpu-inference-nvidia-container-toolkit")),
    )


def _query(run: Run, smi: str) -> tuple[tuple[str, ...], Answer]:
    """Older drivers refuse the whole query for one field that they do not know; leave that one out."""
    fields = QUERY_FIELDS
    while True:
        answer = run([smi, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"])
        unknown = re.search(r'Field "([^"]+)" is not a valid field', answer.text)
        if not unknown or unknown.group(1) not in fields:
            return fields, answer
        fields = tuple(name for name in fields if name != unknown.group(1))


def _find_smi(root: str) -> str | None:
    directories = ["usr/bin", "usr/local/bin", "usr/sbin", "usr/lib/wsl/lib", "usr/local/sbin", "bin"]
    if os.path.abspath(root) == "/":
        directories += [path.lstrip("/") for path in os.environ.get("PATH", "").split(os.pathsep) if path]
    for directory in directories:
        path = os.path.join(root, directory, "nvidia-smi")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


def _package_version(run: Run, name: str) -> Answer:
    answer = run(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name])
    if answer.rc is None:
        answer = run(["rpm", "--query", "--queryformat", "installed %{VERSION}-%{RELEASE}", name])
    return answer


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


def _read_or_none(root: str, path: str) -> str | None:
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _read(root: str, path: str) -> str:
    return _read_or_none(root, path) or ""


# --------------------------------------------------------------------------------------------------------------- deciding


def build_facts(seen: Observations, jetpack_releases: Mapping[str, str] | None = None) -> Facts:
    """Turn what was seen into the facts."""
    warnings: list[str] = []
    l4t = _l4t(seen, {**JETPACK_RELEASES, **(jetpack_releases or {})}, warnings)
    wsl2 = "microsoft" in seen.proc_version.lower()
    memory, available = _memory(seen.meminfo)
    gpus = _gpus(seen)
    jetson = l4t is not None or "nvidia,tegra" in seen.compatible
    if jetson:
        gpus = _jetson_gpus(gpus, seen, l4t)
    unified = jetson or _is_unified(gpus)
    if unified:
        gpus = tuple(gpu if gpu.memory_mib else replace(gpu, memory_mib=memory) for gpu in gpus)
    state, message = _driver_state(seen, gpus, jetson, wsl2)
    if state != "ok":
        gpus = ()
    version, cuda = _driver_version(seen, l4t)
    platform: Platform = "jetson" if jetson else "dgpu" if state in ("ok", "missing", "mismatch") else "cpu"
    facts = {
        "platform": platform,
        "architecture": {"amd64": "x86_64", "arm64": "aarch64"}.get(seen.architecture, seen.architecture),
        "memory_mib": memory,
        "memory_available_mib": available,
        "unified_memory": unified,
        "wsl2": wsl2,
        "driver": {"version": version, "cuda": cuda, "state": state, "message": message},
        "gpus": [{**asdict(gpu), "mig": [asdict(part) for part in gpu.mig]} for gpu in gpus],
        "l4t": l4t,
        "docker": _docker(seen),
        "toolkit": _toolkit(seen, jetson),
        "os": _os(seen),
    }
    return Facts(facts, warnings)


def _l4t(seen: Observations, releases: Mapping[str, str], warnings: list[str]) -> dict[str, t.Any] | None:
    match = re.search(r"^# R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", seen.nv_tegra_release or "", re.MULTILINE)
    if not match:
        if seen.nv_tegra_release is not None:
            warnings.append(
                f"/etc/nv_tegra_release does not begin as expected: {seen.nv_tegra_release[:80]!r}. The L4T release is unknown."
            )
        return None
    release = f"{match.group(1)}.{match.group(2)}"
    jetpack = releases.get(release)
    if jetpack is None:
        warnings.append(f"L4T {release} is in no table, so its JetPack release is unknown. Name it with the option jetpack_releases.")
    return {"release": release, "jetpack": jetpack}


def _memory(meminfo: str) -> tuple[int, int]:
    values = {name: int(size) // 1024 for name, size in re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", meminfo, re.MULTILINE)}
    total = values.get("MemTotal", 0)
    return total, values.get("MemAvailable", total)


def _value(text: str | None) -> str | None:
    text = (text or "").strip()
    return None if _ABSENT.match(text) else text


def _number(text: str | None) -> int | None:
    match = re.match(r"(\d+)(?:\.\d+)?(?:\s*MiB)?$", _value(text) or "")
    return int(match.group(1)) if match else None


def parse_query(fields: Sequence[str], text: str) -> list[dict[str, str | None]]:
    """The lines of `--query-gpu --format=csv,noheader,nounits`, one mapping per GPU; lines that are something else are left out."""
    rows = []
    for line in text.split("\n"):
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(fields) and len(parts) > 1:
            rows.append({name: _value(part) for name, part in zip(fields, parts)})
    return rows


def parse_list(text: str) -> list[tuple[int, str, str | None, list[tuple[int, str, str]]]]:
    """The lines of `nvidia-smi -L`: index, name, uuid, and per MIG slice index, profile, uuid."""
    found: list[tuple[int, str, str | None, list[tuple[int, str, str]]]] = []
    for line in text.split("\n"):
        gpu = re.match(r"GPU (\d+): (.*?)(?: \(UUID: ([^)]*)\))?\s*$", line)
        part = re.match(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: ([^)]*)\)", line)
        if gpu:
            found.append((int(gpu.group(1)), gpu.group(2).strip(), _value(gpu.group(3)), []))
        elif part and found:
            found[-1][3].append((int(part.group(2)), part.group(1), part.group(3)))
    return found


def parse_xml(text: str) -> ET.Element | None:
    """The document of `nvidia-smi -q -x`; None where it is none."""
    start = text.find("<nvidia_smi_log")
    if start < 0:
        return None
    try:
        return ET.fromstring(text[start:])  # noqa: S314 - comes from the host's own nvidia-smi
    except ET.ParseError:
        return None


def _gpus(seen: Observations) -> tuple[Gpu, ...]:
    rows = parse_query(seen.smi_query_fields, seen.smi_query.stdout) if seen.smi_query.rc == 0 else []
    listed = {entry[0]: entry for entry in (parse_list(seen.smi_list.stdout) if seen.smi_list.rc == 0 else [])}
    log = parse_xml(seen.smi_xml.stdout) if seen.smi_xml.rc == 0 else None
    elements = log.findall("gpu") if log is not None else []
    found = []
    for position in range(max(len(rows), len(listed), len(elements))):
        row = rows[position] if position < len(rows) else {}
        number = _number(row.get("index"))
        index = position if number is None else number
        entry = listed.get(index)
        element = elements[position] if position < len(elements) else None
        found.append(_gpu(index, row, entry, element))
    return tuple(found)


def _gpu(
    index: int,
    row: Mapping[str, str | None],
    entry: tuple[int, str, str | None, list[tuple[int, str, str]]] | None,
    element: ET.Element | None,
) -> Gpu:
    name = row.get("name") or (entry[1] if entry else None) or _xml(element, "product_name") or "NVIDIA GPU"
    uuid = row.get("uuid") or (entry[2] if entry else None) or _xml(element, "uuid") or str(index)
    memory = _number(row.get("memory.total"))
    if memory is None:
        memory = _number(_xml(element, "fb_memory_usage/total"))
    capability = row.get("compute_cap") or next((value for part, value in CHIP_CAPABILITY.items() if part in name), None)
    slices = []
    for number, profile, slice_uuid in entry[3] if entry else []:
        slice_element = next(
            (
                part
                for part in (element.iterfind("mig_devices/mig_device") if element is not None else ())
                if _xml(part, "index") == str(number)
            ),
            None,
        )
        slices.append(MigSlice(slice_uuid, profile, _number(_xml(slice_element, "fb_memory_usage/total")) or _profile_memory(profile)))
    return Gpu(index, uuid, name, memory, capability, tuple(slices))


def _profile_memory(profile: str) -> int | None:
    """`1g.10gb` says the size, if nothing better does."""
    match = re.search(r"\.(\d+)gb", profile)
    return int(match.group(1)) * 1024 if match else None


def _xml(element: ET.Element | None, path: str) -> str | None:
    return _value(element.findtext(path)) if element is not None else None


def _is_unified(gpus: Sequence[Gpu]) -> bool:
    return any(gpu.compute_capability in UNIFIED_CAPABILITIES or "(nvgpu)" in gpu.name or "GB10" in gpu.name for gpu in gpus)


def _jetson_gpus(gpus: tuple[Gpu, ...], seen: Observations, l4t: Mapping[str, t.Any] | None) -> tuple[Gpu, ...]:
    """A Jetson has one GPU, also where nvidia-smi is missing (JetPack 5) or answers N/A to nearly everything (JetPack 6)."""
    release = str(l4t["release"]) if l4t else ""
    capability = next((value for part, value in CHIP_CAPABILITY.items() if part in seen.compatible or part in seen.model), None)
    capability = capability or _longest(L4T_CAPABILITY, release)
    first = gpus[0] if gpus else Gpu(0, "0", seen.model or "NVIDIA Jetson", None, None)
    return (replace(first, compute_capability=first.compute_capability or capability), *gpus[1:])


def _longest(table: Mapping[str, str], release: str) -> str | None:
    fitting = [beginning for beginning in table if release.startswith(beginning)]
    return table[max(fitting, key=len)] if fitting else None


def _driver_state(seen: Observations, gpus: Sequence[Gpu], jetson: bool, wsl2: bool) -> tuple[DriverState, str]:
    said = _first_line(seen.smi_query.text) or _first_line(seen.smi_list.text)
    everything = "\n".join(answer.text for answer in (seen.smi_query, seen.smi_list, seen.smi_xml))
    if "Driver/library version mismatch" in everything:
        return (
            "mismatch",
            f"The NVIDIA driver was upgraded but the old kernel module is still loaded; reboot the host. nvidia-smi says: {said}",
        )
    if jetson or (gpus and seen.smi_query.rc == 0):
        return "ok", ""
    usable = [gpu for gpu in seen.pci if gpu.driver != "vfio-pci"]
    installed = seen.smi_query.rc is not None
    answer = f" nvidia-smi says: {said}" if said else ""
    if usable:
        where = ", ".join(gpu.address for gpu in usable)
        if any(gpu.driver == "nouveau" for gpu in usable):
            return "missing", f"An NVIDIA GPU is at PCI {where}, held by the driver nouveau. Install NVIDIA's driver and reboot.{answer}"
        if installed:
            return "missing", f"An NVIDIA GPU is at PCI {where} and nvidia-smi is installed, but the kernel module does not answer.{answer}"
        return "missing", f"An NVIDIA GPU is at PCI {where}, but no NVIDIA driver is installed. Install one and reboot."
    if wsl2 and installed:
        return "missing", f"nvidia-smi of WSL finds no GPU. Install or update NVIDIA's driver in Windows, not here.{answer}"
    if installed and "No devices were found" not in everything and seen.smi_query.rc != 0 and seen.proc_driver_version is None:
        return "no_gpu", f"nvidia-smi is installed, but no NVIDIA GPU is on the PCI bus.{answer}"
    if installed or seen.proc_driver_version is not None:
        return "no_gpu", f"An NVIDIA driver is installed, but the host has no NVIDIA GPU.{answer}"
    return "none", ""


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def _driver_version(seen: Observations, l4t: Mapping[str, t.Any] | None) -> tuple[str | None, str | None]:
    log = parse_xml(seen.smi_xml.stdout) if seen.smi_xml.rc == 0 else None
    version, cuda = _xml(log, "driver_version"), _xml(log, "cuda_version")
    if not version and seen.smi_query.rc == 0:
        version = next(
            (row["driver_version"] for row in parse_query(seen.smi_query_fields, seen.smi_query.stdout) if row.get("driver_version")), None
        )
    if not version and seen.proc_driver_version:
        match = re.search(r"Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)", seen.proc_driver_version)
        version = match.group(1) if match else None
    if not cuda and l4t:
        cuda = _longest(L4T_CUDA, str(l4t["release"]))
    return version, cuda


def _json(answer: Answer) -> dict[str, t.Any]:
    try:
        document = json.loads(answer.stdout)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _docker(seen: Observations) -> dict[str, t.Any]:
    info, server = _json(seen.docker_info), _json(seen.docker_version).get("Server") or {}
    return {
        "version": server.get("Version") or info.get("ServerVersion") or None,
        "api_version": server.get("ApiVersion") or None,
        "runtimes": sorted(info.get("Runtimes") or {}),
        "cdi": bool(info.get("CDISpecDirs")),
        "cgroup_driver": info.get("CgroupDriver") or None,
    }


def _toolkit(seen: Observations, jetson: bool) -> dict[str, t.Any]:
    package = re.match(r"installed\s+(?:\d+:)?(\d+\.\d+\.\d+\S*?)(?:-\S+)?$", seen.toolkit_package.stdout.strip())
    cli = re.search(r"version\s+v?(\d+\.\d+\.\d+\S*)", seen.toolkit_cli.stdout) if seen.toolkit_cli.rc == 0 else None
    version = package.group(1) if package else cli.group(1) if cli else None
    return {"version": version, "vendor": version is not None and (jetson or seen.dgx_release) and not seen.toolkit_managed}


def _os(seen: Observations) -> dict[str, str | None]:
    values = dict(re.findall(r"^([A-Z_]+)=[\"']?(.*?)[\"']?$", seen.os_release, re.MULTILINE))
    return {
        "id": values.get("ID"),
        "version": values.get("VERSION_ID"),
        "codename": values.get("VERSION_CODENAME"),
        "kernel": seen.kernel,
    }
