# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What kind of inference machine this is, from files and from what nvidia-smi and docker print.

Whatever is missing or broken becomes a fact, not an exception. What was seen is gathered by C(_facts_observe); nvidia-smi is read by
C(_facts_nvidia), its troubles are judged by C(_facts_driver), releases of L4T by C(_facts_jetson).
"""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_driver import driver_state, missing_cards
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_jetson import (
    L4T_CAPABILITY,
    L4T_CUDA,
    chip_capability,
    is_integrated,
    jetpack_of,
    l4t_release,
    longest,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import Answer, Gpu, Seen, look
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import Observations

Platform = t.Literal["dgpu", "jetson", "cpu"]


@dataclass
class Facts:
    """The facts, and warnings for people."""

    facts: dict[str, t.Any]
    warnings: list[str] = field(default_factory=list)


def build_facts(seen: Observations, jetpack_releases: Mapping[str, str] | None = None) -> Facts:
    """Turn what was seen into the facts."""
    warnings: list[str] = []
    l4t = _l4t(seen, jetpack_releases or {}, warnings)
    memory, available = _memory(seen.meminfo)
    smi = look(seen.smi_query, seen.smi_query_fields, seen.smi_list, seen.smi_xml)
    tegra = l4t is not None or "nvidia,tegra" in seen.compatible
    gpus = tuple(replace(gpu, compute_capability=gpu.compute_capability or chip_capability(gpu.name)) for gpu in smi.gpus)
    discrete = tuple(gpu for gpu in gpus if not is_integrated(gpu.name, gpu.compute_capability))
    if discrete:
        # An IGX with a card has the driver of other machines. A GPU that shares the memory with the CPU stays out beside one that does not:
        # on Tegra it has no UUID to be named by, and the ledger has one kind of memory for a host.
        warnings += [
            f"{gpu.name}, which shares its memory with the CPU, is not used beside {discrete[0].name}"
            for gpu in gpus
            if gpu not in discrete
        ]
        gpus, tegra = discrete, False
    elif tegra:
        gpus = _jetson_gpus(gpus, seen, l4t)
    unified = tegra or bool(gpus and not discrete)
    if unified:
        gpus = tuple(gpu if gpu.memory_mib else replace(gpu, memory_mib=memory or None) for gpu in gpus)
    state, message = driver_state(seen, bool(smi.gpus), tegra)
    if state != "ok":
        gpus = ()
    elif not tegra:
        warnings += [*smi.warnings, *missing_cards(seen, smi.bus_ids, len(smi.gpus)), *_wsl_warnings(seen)]
    platform: Platform = "jetson" if tegra else "dgpu" if state in ("ok", "missing", "mismatch") else "cpu"
    facts = {
        "platform": platform,
        "architecture": {"amd64": "x86_64", "arm64": "aarch64"}.get(seen.architecture, seen.architecture),
        "memory_mib": memory,
        "memory_available_mib": available,
        "unified_memory": unified,
        "wsl2": seen.wsl,
        "driver": {"version": _driver_version(seen, smi), "cuda": _cuda(smi, l4t), "state": state, "message": message},
        "gpus": [{**asdict(gpu), "mig": [asdict(part) for part in gpu.mig]} for gpu in gpus],
        "l4t": l4t,
        "docker": _docker(seen),
        "toolkit": _toolkit(seen, tegra or l4t is not None),
        "os": _os(seen),
        "package_manager": seen.package_manager,
        "roles": list(seen.roles),
        "units": list(seen.units),
        "networks": networks_of(seen.addresses.stdout),
        "rdma": seen.rdma,
    }
    return Facts(facts, list(dict.fromkeys(warnings)))


def _l4t(seen: Observations, releases: Mapping[str, str], warnings: list[str]) -> dict[str, t.Any] | None:
    if seen.nv_tegra_release is None:
        return None
    release = l4t_release(seen.nv_tegra_release)
    if release is None:
        warnings.append(f"/etc/nv_tegra_release does not begin as expected: {seen.nv_tegra_release[:80]!r}. The L4T release is unknown.")
        return None
    jetpack = jetpack_of(release, releases)
    if jetpack is None:
        warnings.append(f"L4T {release} is in no table, so its JetPack release is unknown. Name it with the option jetpack_releases.")
    return {"release": release, "jetpack": jetpack}


#: Interfaces of the host alone: loopback, bridges of containers and virtual machines with what hangs on them, and a Jetson's own by USB.
_INNER = re.compile(r"lo|docker\d+|docker_gwbridge|br-[0-9a-f]{12}|veth.*|(?:virbr|lxcbr|lxdbr|podman|cni|l4tbr|rndis|usb)\d.*")


def networks_of(text: str) -> list[dict[str, t.Any]]:
    """By C(ip -brief address), the interfaces by which other hosts could reach this one, and their addresses."""
    found = []
    for line in filter(str.strip, text.split("\n")):
        words = line.split()
        name = words[0].partition("@")[0]
        # After the state of the interface; "peer" and "metric" have words of their own.
        kept = [word for before, word in zip(words[1:], words[2:]) if "/" in word and before != "peer" and not word.startswith("fe80:")]
        if kept and not _INNER.fullmatch(name):
            found.append({"interface": name, "addresses": kept})
    return found


def _memory(meminfo: str) -> tuple[int, int]:
    values = {name: int(size) // 1024 for name, size in re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", meminfo, re.MULTILINE)}
    total = values.get("MemTotal", 0)
    return total, values.get("MemAvailable", total)


def _jetson_gpus(gpus: tuple[Gpu, ...], seen: Observations, l4t: Mapping[str, t.Any] | None) -> tuple[Gpu, ...]:
    """A Jetson has one GPU, also where nvidia-smi is missing (JetPack 5) or answers N/A to nearly everything (JetPack 6)."""
    release = str(l4t["release"]) if l4t else ""
    capability = chip_capability(seen.compatible, seen.model) or longest(L4T_CAPABILITY, release)
    first = gpus[0] if gpus else Gpu(0, "0", seen.model or "NVIDIA Jetson", None, None)
    return (replace(first, compute_capability=first.compute_capability or capability), *gpus[1:])


def _wsl_warnings(seen: Observations) -> t.Iterator[str]:
    if seen.wsl and seen.smi_own:
        yield (
            "A Linux package of NVIDIA's driver is installed in WSL, where the driver belongs to Windows; its libraries can hide those of "
            "Windows. Remove it (apt remove 'nvidia-utils-*' 'libnvidia-compute-*')."
        )


def _driver_version(seen: Observations, smi: Seen) -> str | None:
    match = re.search(r"Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)", seen.proc_driver_version or "")
    return smi.driver_version or (match.group(1) if match else None)


def _cuda(smi: Seen, l4t: Mapping[str, t.Any] | None) -> str | None:
    return smi.cuda or (longest(L4T_CUDA, str(l4t["release"])) if l4t else None)


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
