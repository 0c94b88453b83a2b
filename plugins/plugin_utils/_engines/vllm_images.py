# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Which image serves vLLM on a platform, which version is in it, and whether the driver carries its CUDA."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .._plan import images
from .._plan.advisories import VLLM, vulnerable
from .._plan.platform import Device, Hardware, version_tuple
from .._platforms.base import Platform

VLLM_VERSION = "0.32.0"
VLLM_IMAGE = f"vllm/vllm-openai:v{VLLM_VERSION}"
#: vLLM's own CPU build has one tag per architecture (vLLM's docs, "CPU: pre-built images").
VLLM_CPU_IMAGES: Mapping[str, str] = {
    "x86_64": f"vllm/vllm-openai-cpu:v{VLLM_VERSION}-x86_64",
    "aarch64": f"vllm/vllm-openai-cpu:v{VLLM_VERSION}-arm64",
}
#: Orin on JetPack 6: built for Tegra's CUDA 12.6, needs L4T 36.4 or newer.
VLLM_ORIN_JETPACK6 = "ghcr.io/nvidia-ai-iot/vllm:r36.4-tegra-aarch64-cu126-22.04"

#: The major of L4T.
_JETPACK_6 = 36
_CUDA_13 = 13
CUDA13_DRIVER = 580
CUDA12_DRIVER = 525
BLACKWELL_DRIVER = 570
MIN_COMPUTE_CAPABILITY = (7, 5)

#: NVIDIA's own builds: the vLLM inside each (docs.nvidia.com, "vLLM Release Notes").
_NGC_VLLM: Mapping[str, str] = {
    "25.09": "0.10.1",
    "25.10": "0.10.2",
    "26.01": "0.11.1",
    "26.03": "0.17.1",
    "26.05": "0.20.1",
    "26.10": "0.31.0",
}
_NGC_LABEL = re.compile(r"([0-9]{2}\.[0-9]{2})(?:\.post[0-9]+)?(?=$|-py3)")
_TEGRA_LABEL = re.compile(r"(?:^|-)r3[0-9]\.[0-9]")
#: Built on vLLM's own image, with a version of their own in the tag.
_DERIVED = ("lmcache/vllm-openai",)


def vllm_build(image: str) -> str | None:
    """Whose build of vLLM an image is, under the name of any registry: C(vllm) its own, C(derived), C(nvidia), C(tegra); else None."""
    name, label = images.repository(image), images.tag(image)
    last = name.rsplit("/", 1)[-1]
    if name.endswith(_DERIVED):
        return "derived"
    if last in ("vllm-openai", "vllm-openai-cpu"):
        return "vllm"
    if "nvidia-ai-iot/" in name or "dustynv/" in name or (last == "vllm" and _TEGRA_LABEL.search(label)):
        return "tegra"
    if name.endswith("nvidia/vllm") or (last == "vllm" and _NGC_LABEL.match(label)):
        return "nvidia"
    return None


def version_in(image: str) -> str | None:
    """vLLM's version as the tag tells it, or None."""
    build = vllm_build(image)
    if build == "derived":
        return None
    if build == "nvidia":
        release = _NGC_LABEL.match(images.tag(image))
        return _NGC_VLLM.get(release[1]) if release else None
    if build == "tegra":
        # r36.4-... is the L4T release; dustynv/vllm:0.8.6-r36.4-... begins with the engine's.
        match = re.match(r"v?(\d+\.\d+\.\d+)(?=$|[-+])", images.tag(image))
        return match[1] if match else None
    return images.version_in(image)


def has_entrypoint(image: str) -> bool:
    """vLLM's own images begin with C(vllm serve); NVIDIA's and the Jetson ones run what they are told."""
    return vllm_build(image) not in ("nvidia", "tegra")


def cuda_major(image: str) -> int | None:
    """The CUDA major in a known vLLM image; None where the name does not tell."""
    label, build = images.tag(image), vllm_build(image)
    match = re.search(r"(?:^|[-_])cu(\d{2})\d(?:$|[-_])", label)
    if match:
        return int(match[1])
    if build == "nvidia":
        release = version_tuple(label.split("-", 1)[0])
        return None if release is None else 13 if release >= (25, 9) else 12
    if build == "vllm" and not images.repository(image).endswith("-cpu"):
        version = version_tuple(version_in(image))
        # The default build went from CUDA 12.9 to 13.0 with 0.20.
        return None if version is None else 13 if version >= (0, 20) else 12
    return None


def default_image(platform: Platform, hardware: Hardware | None) -> tuple[str | None, str]:
    """The image of vLLM where the user names none, and, where there is none, what to do about it."""
    if not platform.has_gpu:
        architecture = (hardware.architecture if hardware else None) or "x86_64"
        image = VLLM_CPU_IMAGES.get(architecture)
        return image, "" if image else f"there is no CPU image of vLLM for {architecture}; name one in inference_images.vllm.cpu"
    if platform.l4t:
        l4t = hardware.l4t if hardware else None
        if l4t is None or l4t[0] > _JETPACK_6:
            return VLLM_IMAGE, ""
        if l4t >= (36, 4):
            return VLLM_ORIN_JETPACK6, ""
        release = ".".join(map(str, l4t))
        return None, (
            f"there is no image of vLLM for L4T {release}; update to JetPack 6.1 or newer, serve the model with Ollama "
            "(on_platform: {jetson: {engine: ollama, source: TAG}}), or name an image in inference_images.vllm.jetson"
        )
    driver = hardware.driver_version if hardware else None
    if driver is not None and driver[0] < CUDA13_DRIVER:
        return f"{VLLM_IMAGE}-cu129", ""
    return VLLM_IMAGE, ""


def too_old(hardware: Hardware | None) -> list[Device]:
    """GPUs that no image of vLLM with CUDA 12.9 or newer has code for: Maxwell, Pascal, Volta."""
    devices = hardware.devices if hardware is not None else ()
    return [device for device in devices if device.compute_capability is not None and device.compute_capability < MIN_COMPUTE_CAPABILITY]


def driver_trouble(image: str, hardware: Hardware, devices: Sequence[str]) -> str | None:
    """Why this image cannot work with this host's driver or GPU, with the remedy; None where nothing speaks against it."""
    driver = hardware.driver_version
    chosen = [device for device in hardware.devices if not devices or device.key in devices]
    old = [device for device in too_old(hardware) if device in chosen]
    # Without a given GPU the service goes to one that will do, where there is one.
    if old and (devices or len(old) == len(chosen)):
        return (
            f"{old[0].name} has compute capability {old[0].capability_text}, vLLM needs 7.5; serve the model with Ollama, or on another GPU"
        )
    if driver is None or hardware.kind.l4t:
        return None
    return _older_driver(image, hardware, driver[0], chosen)


def _older_driver(image: str, hardware: Hardware, driver: int, chosen: Sequence[Device]) -> str | None:
    """What needs a newer driver than this: the image's CUDA, or a GPU."""
    text = hardware.driver_text
    major = cuda_major(image)
    if major is None:
        return None
    if major >= _CUDA_13 and driver < CUDA13_DRIVER:
        return (
            f"the image {image} is built for CUDA {major}, which needs the NVIDIA driver {CUDA13_DRIVER} or newer; the host has {text}. "
            f"Update the driver, or use an image of CUDA 12 such as {VLLM_IMAGE}-cu129"
        )
    if driver < CUDA12_DRIVER:
        return (
            f"the image {image} is built for CUDA {major}, which needs the NVIDIA driver {CUDA12_DRIVER} or newer; "
            f"the host has {text}. Update the driver"
        )
    blackwell = [device for device in chosen if (device.compute_capability or (0, 0)) >= (10, 0)]
    if blackwell and driver < BLACKWELL_DRIVER:
        return f"{blackwell[0].name} needs the NVIDIA driver {BLACKWELL_DRIVER} or newer, the host has {text}; update the driver"
    return None


def tegra_trouble(image: str, hardware: Hardware) -> str | None:
    """An image of ordinary arm64 CUDA 13 on JetPack 6 starts without a GPU or not at all."""
    if hardware.l4t is None or not hardware.kind.l4t:
        return None
    major = cuda_major(image)
    if major is not None and major >= _CUDA_13 and hardware.l4t[0] <= _JETPACK_6:
        release = ".".join(map(str, hardware.l4t))
        return (
            f"the image {image} is built for CUDA {major}, L4T {release} carries CUDA 12.6 or older; "
            f"use {VLLM_ORIN_JETPACK6}, or update to JetPack 7.2"
        )
    return None


def audio_packages(image: str, given: bool, version: str | None, model: str) -> tuple[tuple[str, ...], str]:
    """What a transcription model needs on top of its image, and what to tell where that is not known.

    vLLM's own images lack the audio extra; without it /health is green and every transcription fails.
    """
    fails = f"every transcription of {model} fails"
    if vllm_build(image) in ("vllm", "derived") or not given:
        if version:
            return (f"vllm[audio]=={version}",), ""
        return (
            (),
            f"{image} lacks vLLM's audio packages, so {fails}; say engine_version to have them added, or image_packages: [] if it has them",
        )
    return (), (
        f"whether {image} has vLLM's audio packages is not known, and without them {fails}; "
        f'say image_packages: ["vllm[audio]=={version or VLLM_VERSION}"], or [] if it has them'
    )


def version_trouble(image: str, version: str | None) -> str | None:
    """What has to be known of the version of an image that the user named."""
    if version is None and vllm_build(image):
        return f"which version of vLLM is in it is not known, so it is taken for {VLLM_VERSION}; say engine_version"
    return vulnerable(VLLM, version)
