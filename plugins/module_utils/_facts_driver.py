# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Why a host shows no GPU, and what to do about it.

Each message is whole: what is wrong and its remedy, in the words of the host at hand (a machine, WSL, a container, a Jetson).
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Sequence

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import (
    EXIT_MEANINGS,
    LOST_REMEDY,
    complaints,
    meaning,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_observe import Observations, PciGpu
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import TIMED_OUT

#: ok: works. missing: a GPU without a working driver. mismatch: upgraded without a reboot. no_gpu: a driver, or a card that is given
#: away, and no GPU to use. none: nothing of NVIDIA's.
DriverState = t.Literal["ok", "missing", "mismatch", "no_gpu", "none"]

#: Kernel drivers that hold a card for a virtual machine.
GIVEN_AWAY = frozenset({"vfio-pci", "pci-stub", "xen-pciback"})
#: The kernel's own drivers for NVIDIA's cards, on which CUDA does not run.
OTHER_DRIVERS = frozenset({"nouveau", "nova_core", "nova-core", "nova-drm", "nova_drm"})

WINDOWS_DRIVER = "In WSL the driver belongs to Windows: install or update NVIDIA's driver in Windows, then run 'wsl --shutdown' there"
_KERNEL_LOG = "'dmesg | grep -i -e nvrm -e nvidia' says why"


def driver_state(seen: Observations, has_gpus: bool, tegra: bool) -> tuple[DriverState, str]:
    """The state of the driver, and where it is not ok what is wrong and what to do. C(tegra): the GPU is that of a Jetson."""
    status = meaning(seen.smi_query, seen.smi_query_fields) or meaning(seen.smi_list)
    if status == 18:
        return "mismatch", f"{_mismatch(seen)}{_said(seen)}"
    if status == TIMED_OUT:
        return "missing", _hung(seen)
    if has_gpus or (tegra and not (seen.smi_path and status == 9 and _l4t_major(seen) >= 38)):
        return "ok", ""
    if tegra:
        # Since L4T 38 a Jetson has the driver of other machines, and nvidia-smi shows its GPU.
        return "missing", f"The driver of the Jetson's GPU is not loaded; {_KERNEL_LOG}. Reboot the board.{_said(seen)}"
    if seen.wsl:
        return _wsl(seen, status)
    usable = [gpu for gpu in seen.pci if gpu.driver not in GIVEN_AWAY]
    if seen.container and seen.proc_driver_version is not None and not seen.device_files:
        return "missing", (
            f"This host is a container ({seen.container}) on a machine whose NVIDIA driver is loaded, but it was not given the devices "
            f"(/dev/nvidiactl and others). Give them to the container, and the driver's libraries in the same version.{_said(seen)}"
        )
    if usable and seen.smi_path:
        return "missing", f"{_card(usable)} {_with_smi(seen, usable, status)}{_said(seen)}"
    if usable or (seen.proc_driver_version is not None and not seen.smi_path):
        return "missing", _without_smi(seen, usable)
    if seen.pci:
        held = ", ".join(f"{gpu.address} is bound to {gpu.driver}" for gpu in seen.pci)
        return "no_gpu", (
            f"The only NVIDIA GPU of this host is held for a virtual machine: PCI {held}. Take it back (remove its ids from the options of "
            f"{seen.pci[0].driver}, boot again), or serve from within the virtual machine.{_said(seen)}"
        )
    if seen.smi_path or seen.proc_driver_version is not None:
        told = "" if status in (0, 6) else f" ({EXIT_MEANINGS.get(status, f'exit status {status}')})"
        return "no_gpu", (
            f"An NVIDIA driver is installed, but no NVIDIA GPU is on the PCI bus{told}. Check that the card is seated and powered "
            f"('lspci'), or whether this virtual machine was given one.{_said(seen)}"
        )
    return "none", ""


def missing_cards(seen: Observations, bus_ids: frozenset[str], gpus: int) -> t.Iterator[str]:
    """Cards that the kernel's driver holds and nvidia-smi does not list."""
    held = [gpu.address for gpu in seen.pci if gpu.driver == "nvidia"]
    gone = [address for address in held if address not in bus_ids] if bus_ids else held if gpus < len(held) else []
    if gone and gpus < len(held):
        where = ", ".join(gone) if bus_ids else f"one of {', '.join(held)}"
        yield f"The NVIDIA GPU at PCI {where} is not listed by nvidia-smi and not used. {LOST_REMEDY}"


def _l4t_major(seen: Observations) -> int:
    match = re.search(r"^# R(\d+) ", seen.nv_tegra_release or "", re.MULTILINE)
    return int(match.group(1)) if match else 0


def _said(seen: Observations) -> str:
    lines = complaints(seen.smi_query, seen.smi_query_fields) or complaints(seen.smi_list)
    return f" nvidia-smi says: {lines[0]}" if lines else ""


def _card(usable: Sequence[PciGpu]) -> str:
    many = len(usable) > 1
    return f"{'NVIDIA GPUs are' if many else 'An NVIDIA GPU is'} at PCI {', '.join(gpu.address for gpu in usable)}, and"


def _mismatch(seen: Observations) -> str:
    if seen.wsl:
        return f"The NVIDIA driver of Windows and the libraries in WSL have different versions. {WINDOWS_DRIVER}."
    if seen.container:
        return (
            f"The NVIDIA libraries in this container ({seen.container}) have another version than the driver of the machine. Install the "
            "machine's version here."
        )
    return "The NVIDIA driver was upgraded but the old kernel module is still loaded; reboot the host."


def _hung(seen: Observations) -> str:
    remedy = (
        "Run 'wsl --shutdown' in Windows"
        if seen.wsl
        else "'dmesg | grep -i -e xid -e nvrm' says why; boot the host again, and where that does not help, power it off"
    )
    said = seen.smi_query.stderr.strip() or "no answer"
    return f"nvidia-smi does not answer, so the NVIDIA driver hangs ({said}). {remedy}."


def _wsl(seen: Observations, status: int) -> tuple[DriverState, str]:
    if seen.smi_path is None:
        if not seen.device_files:
            return "none", ""
        return "missing", f"WSL has a GPU (/dev/dxg), but no nvidia-smi in /usr/lib/wsl/lib. {WINDOWS_DRIVER}."
    instead = (
        f" {seen.smi_path} comes from a Linux package, which finds no GPU in WSL: remove that driver (apt remove 'nvidia-*' 'libnvidia-*')."
        if "wsl/lib" not in seen.smi_path
        else ""
    )
    device = "" if seen.device_files else " WSL shows no /dev/dxg: it has to be WSL 2 ('wsl --set-version DISTRIBUTION 2', 'wsl --update')."
    told = f" ({EXIT_MEANINGS[status]})" if status in EXIT_MEANINGS else ""
    return "missing", f"nvidia-smi shows no GPU in WSL{told}. {WINDOWS_DRIVER}.{instead}{device}{_said(seen)}"


def _with_smi(seen: Observations, usable: Sequence[PciGpu], status: int) -> str:
    """nvidia-smi is there and shows no GPU, although the bus has one."""
    by_status = {
        4: "nvidia-smi may not open the devices: look at the mode of /dev/nvidia* and at the limits of a container or virtual machine.",
        8: "its external power cables are not attached: attach them and boot again.",
        10: f"the kernel has trouble with its interrupts: {_KERNEL_LOG}; a newer BIOS helps, or another slot.",
        12: "the driver's library libnvidia-ml.so.1 is missing: reinstall the driver's packages, all in one version.",
        13: "nvidia-smi and libnvidia-ml.so.1 have different versions: reinstall the driver's packages, all in one version.",
        15: f"it has fallen off the bus. {LOST_REMEDY}",
        16: "it has to be reset: boot the host again, or run 'nvidia-smi --gpu-reset -i INDEX' with nothing running on it.",
        17: "the system keeps nvidia-smi from it: give its devices to this container or virtual machine, or boot again.",
        126: "nvidia-smi cannot be run: reinstall the driver's packages for this architecture.",
        127: "nvidia-smi cannot be run: reinstall the driver's packages for this architecture.",
    }
    other = next((gpu.driver for gpu in usable if gpu.driver in OTHER_DRIVERS), None)
    if other:
        return f"the kernel's driver {other} holds it, although NVIDIA's is installed: reboot, and if it stays so, blacklist {other}."
    if status in by_status and seen.proc_driver_version is not None:
        return by_status[status]
    if status in (12, 13, 126, 127):
        return by_status[status]
    if seen.proc_driver_version is None:
        return f"nvidia-smi is installed, but the kernel module does not answer: {_not_loaded(seen)}"
    return (
        f"the kernel module is loaded, but does not serve the card: {_KERNEL_LOG}. A card that is too old for this driver needs an older "
        "one; RTX 50 and other Blackwell cards need the open kernel modules, cards before Turing the closed ones."
    )


def _not_loaded(seen: Observations) -> str:
    if seen.module_version.rc is None:
        return f"{_KERNEL_LOG}; reboot after the driver was installed."
    if seen.module_version.rc != 0:
        return (
            f"there is none for the running kernel {seen.kernel}. Install the kernel's headers and run 'dkms autoinstall', or boot the "
            "kernel that the driver was installed for."
        )
    if seen.secure_boot:
        return (
            f"Secure Boot is on, and the module {seen.module_version.stdout.strip()} is there but not loaded: the kernel refuses one whose "
            "signature it does not know ('modprobe nvidia' says 'Key was rejected by service'). Enrol the key that signed it (mokutil "
            "--import, then reboot and confirm), or install modules that the distribution signed (Ubuntu: linux-modules-nvidia-...)."
        )
    return f"it is there ({seen.module_version.stdout.strip()}) but not loaded. Run 'modprobe nvidia' or reboot; {_KERNEL_LOG}."


def _without_smi(seen: Observations, usable: Sequence[PciGpu]) -> str:
    loaded = re.search(r"Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)", seen.proc_driver_version or "")
    if seen.proc_driver_version is not None:
        version = loaded.group(1) if loaded else "of unknown version"
        branch = version.partition(".")[0] if loaded else "VERSION"
        return (
            f"The NVIDIA kernel module {version} is loaded, but nvidia-smi is not installed, and with it the driver's libraries are "
            f"missing. Install them in that version (Ubuntu: nvidia-utils-{branch} and libnvidia-compute-{branch}, Debian: nvidia-smi and "
            "libcuda1, RHEL: nvidia-driver-cuda)."
        )
    other = next((gpu.driver for gpu in usable if gpu.driver in OTHER_DRIVERS), None)
    where = ", ".join(gpu.address for gpu in usable)
    if other:
        return f"An NVIDIA GPU is at PCI {where}, held by the driver {other}. Install NVIDIA's driver and reboot."
    return f"An NVIDIA GPU is at PCI {where}, but no NVIDIA driver is installed. Install one and reboot."
