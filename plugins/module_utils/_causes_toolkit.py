# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What the NVIDIA Container Toolkit says, and Docker of it, while a container with a GPU is made."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import DRIVER_TOO_OLD, Cause, Rank, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import DRIVER_TOO_OLD, Cause, Rank, rule  # type: ignore[import-not-found,no-redef]

_MOBY = "moby/moby, daemon and client"
_TOOLKIT = "NVIDIA/nvidia-container-toolkit, internal and cmd"
_RUNC = "opencontainers/runc, libcontainer"

_MISMATCH = "The NVIDIA driver was updated and the old kernel module is still loaded: reboot the host."
_NO_DRIVER = (
    "The NVIDIA driver is not installed or not loaded on this host ('nvidia-smi' fails). Install it, reboot, and start the unit again."
)
_CDI = (
    "The CDI specification does not fit the GPUs and the driver that are here now. Write it again with 'systemctl restart "
    "nvidia-cdi-refresh' (or 'nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml'), compare 'nvidia-ctk cdi list' with "
    "'nvidia-smi -L', and start the unit again."
)
_TOOLKIT_CONFIG = (
    "The NVIDIA Container Toolkit cannot use its configuration. Correct /etc/nvidia-container-runtime/config.toml, or have it written "
    "again: 'nvidia-ctk config --config-file=/etc/nvidia-container-runtime/config.toml --in-place'."
)
_LOW_LEVEL = "The NVIDIA runtime finds no runc below it. Install runc (part of containerd.io or of the package runc) on the host."
_HOOK = (
    "A program of the NVIDIA Container Toolkit is missing on the host. Install all four packages in one version "
    "(role nvidia_container_toolkit does), then start the unit again."
)
_HOOK_FAILED = (
    "A hook that prepares the container's GPU failed; the end of the line says why. Bring all packages of the NVIDIA Container Toolkit to "
    "one version (role nvidia_container_toolkit does), and write the CDI specification again ('systemctl restart nvidia-cdi-refresh')."
)
_NO_GPUS_OPTION = (
    "This host takes GPUs by --runtime=nvidia and NVIDIA_VISIBLE_DEVICES, never by --gpus (Jetson, mode csv). Remove --gpus from "
    "container_extra_arguments."
)
_JETSON_DEVICE = (
    "In mode csv, that of Jetson, the GPU has no UUID: name it by its index or take all of them (gpus of the service), or set the mode in "
    "/etc/nvidia-container-runtime/config.toml to auto."
)

RULES = (
    rule(
        Cause.GPU_LOST,
        "NVIDIA/nvidia-container-toolkit, nvml errors",
        r"[Dd]river/library version mismatch",
        r"ERROR_LIB_RM_VERSION_MISMATCH",
        remedy=_MISMATCH,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _MOBY,
        r"unknown or invalid runtime name: ",
        r"Unknown runtime specified ",
        r"could not select device driver",
        r"runtime \S+nvidia\S* is not (?:installed|supported)",
        r"runtime \"?nvidia\"? (?:binary )?not (?:installed|found)",
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"unsatisfied condition: \w+",
        r"requirement error\b",
        r"requirements not met",
        r"nvml error: function not found",
        remedy=DRIVER_TOO_OLD,
    ),
    rule(Cause.RUNTIME_MISSING, _TOOLKIT, r"invoking the NVIDIA Container Runtime Hook directly", remedy=_NO_GPUS_OPTION),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"is not supported in CSV mode",
        r"unsupported device id: ",
        r"requesting a CDI device with vendor",
        r"csv mode\S* .*(?:UUID|GPU-)|(?:UUID|GPU-\S+).* csv mode",
        remedy=_JETSON_DEVICE,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"no runtime binary found from candidate list",
        r"error (?:constructing|locating) (?:low-level )?runtime",
        remedy=_LOW_LEVEL,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"error loading config: ",
        r"invalid runtime mode",
        r"unrecognized (?:runtime )?mode",
        r"unable to load config(?: file)?: .*(?:toml|EOF)",
        r"nvidia-container-runtime\S*config\.toml",
        r"error getting hook config",
        r"toml: (?:line|incomplete|expected|cannot)|Near line \d+ \(last key parsed",
        r"Invalid value for config option",
        remedy=_TOOLKIT_CONFIG,
    ),
    rule(
        Cause.BAD_FLAG,
        _TOOLKIT,
        r"unsupported capabilities found in",
        r"unknown driver capability",
        remedy="NVIDIA_DRIVER_CAPABILITIES has a value that the toolkit does not know. Correct it in the model's env; compute,utility is "
        "enough.",
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"(?:nvidia-container-(?:runtime(?:-hook|\.cdi|\.legacy)?|cli|toolkit)|nvidia-cdi-hook|nvidia-ctk)\"?'?:? ?"
        r"(?:stat \S+: |in PATH: |in \$PATH: )*(?:executable file not found|no such file|(?:command )?not found|file does not exist"
        r"|exec format)",
        r"couldn't find binary nvidia-container-cli",
        r"stat \S*nvidia-(?:container|cdi|ctk)\S*: no such file",
        remedy=_HOOK,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"failed to create the automatic CDI modifier|runtime\.nvidia\.com/gpu",
        r"failed to initialize NVML: ERROR_(?:LIBRARY_NOT_FOUND|DRIVER_NOT_LOADED|UNINITIALIZED)",
        r"nvml error: driver not loaded",
        r"load library failed: lib(?:nvidia-ml|cuda)\.so",
        remedy=_NO_DRIVER,
    ),
    rule(
        Cause.RUNTIME_MISSING,
        _TOOLKIT,
        r"unresolvable CDI devices|stat nvidia\.com/gpu=\S+: no such file|empty device edits",
        r"failed to (?:stat|inject) CDI (?:host )?device",
        r"failed to fulfil mount request",
        r"CDI registry initialization failure|discover GPU vendor|no known GPU vendor",
        r"CDI device injection failed",
        r"conflicting device \"?nvidia\.com/gpu",
        r"error mounting \"[^\"]*(?:libnvidia|libcuda|libnvoptix|nvidia-smi|nvidia-persistenced|gsp_|nvidia_icd|libEGL_nvidia"
        r"|firmware/nvidia)[^\"]*\".*no such file",
        r"(?:lstat|stat|open) \S*(?:libnvidia-\S+|libcuda)\.so\.\d[\d.]*: no such file",
        remedy=_CDI,
    ),
    rule(
        Cause.GPU_LOST,
        "libnvidia-container, error.c",
        r"nvidia-container-cli: device error: ",
        r"(?:nvml|driver rpc) error: (?:unknown error|timed out|gpu is lost|GPU is lost)",
        r"nvidia-container-cli: detection error",
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "libnvidia-container, error.c",
        r"nvidia-container-cli: (?:initialization|ldcache|mount|container|permission|option|input) error",
        r"nvidia-container-cli\.real: ",
        r"error gathering device information while adding custom device \"/dev/(?:nvidia|nvhost|nvmap|dxg)",
    ),
    # Whatever else is said of NVIDIA, and of the hooks by which a runtime like it makes a container
    rule(
        Cause.RUNTIME_MISSING,
        _RUNC,
        r"error running (?:\w+ )?hook|Running hook #\d",
        remedy=_HOOK_FAILED,
        rank=Rank.WRAPPER,
    ),
    rule(Cause.RUNTIME_MISSING, _RUNC, r"OCI runtime create failed: .*nvidia|nvidia-container-(?:runtime|cli)\b", rank=Rank.WRAPPER),
)
