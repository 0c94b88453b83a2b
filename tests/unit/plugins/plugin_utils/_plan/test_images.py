# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from support.inventories import dgpu, gpu

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.registry import ENGINES
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_images import (
    VLLM_CPU_IMAGES,
    VLLM_IMAGE,
    VLLM_ORIN_JETPACK6,
    audio_packages,
    cuda_major,
    has_entrypoint,
    version_in,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.images import is_floating, repository, tag
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import read_hardware, version_tuple

DIGEST = "@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "name", "label"),
    [
        ("vllm/vllm-openai:v0.32.0", "vllm/vllm-openai", "v0.32.0"),
        ("registry:5000/vllm", "registry:5000/vllm", ""),
        ("registry:5000/vllm:1.2" + DIGEST, "registry:5000/vllm", "1.2"),
        ("ollama" + DIGEST, "ollama", ""),
    ],
)
def test_parts(image: str, name: str, label: str) -> None:
    assert (repository(image), tag(image)) == (name, label)


@pytest.mark.parametrize(
    ("image", "floating"),
    [
        ("vllm/vllm-openai:v0.32.0", False),
        ("vllm/vllm-openai:latest", True),
        ("vllm/vllm-openai:latest-cu129", True),
        ("vllm/vllm-openai:nightly", True),
        ("vllm/vllm-openai:cu130-nightly", True),
        ("vllm/vllm-openai:cu129-nightly-0123456789abcdef0123456789abcdef01234567", False),
        ("ghcr.io/berriai/litellm:main", True),
        ("ghcr.io/berriai/litellm:main-stable", True),
        ("ghcr.io/berriai/litellm:main-v1.83.7-stable", False),
        ("ghcr.io/berriai/litellm:v1.83.7-stable", False),
        ("ghcr.io/berriai/litellm:v1.83.7-nightly", True),
        ("ghcr.io/nvidia-ai-iot/vllm:latest-jetson-orin", True),
        ("ghcr.io/nvidia-ai-iot/vllm:latest-jetson-orin" + DIGEST, False),
        ("ollama/ollama", True),
        ("registry:5000/ollama", True),
        ("my/mainframe:1.0-maintained", False),
        (VLLM_ORIN_JETPACK6, False),
    ],
)
def test_floating(image: str, floating: bool) -> None:
    assert is_floating(image) is floating


@pytest.mark.parametrize(
    ("image", "version", "cuda", "entrypoint"),
    [
        (VLLM_IMAGE, "0.32.0", 13, True),
        (f"{VLLM_IMAGE}-cu129", "0.32.0", 12, True),
        ("vllm/vllm-openai:v0.11.0", "0.11.0", 12, True),
        ("vllm/vllm-openai:v0.11.0-cu130", "0.11.0", 13, True),
        ("mirror.example/docker/vllm/vllm-openai:v0.32.0", "0.32.0", 13, True),
        (VLLM_CPU_IMAGES["x86_64"], "0.32.0", None, True),
        (VLLM_CPU_IMAGES["aarch64"], "0.32.0", None, True),
        ("nvcr.io/nvidia/vllm:25.09-py3", "0.10.1", 13, False),
        ("nvcr.io/nvidia/vllm:26.10-py3", "0.31.0", 13, False),
        ("nvcr.io/nvidia/vllm:27.01-py3", None, 13, False),
        (VLLM_ORIN_JETPACK6, None, 12, False),
        ("dustynv/vllm:0.8.6-r36.4-cu128-24.04", "0.8.6", 12, False),
        ("registry:5000/vllm-cpu:0.32.0", "0.32.0", None, True),
        ("own/vllm:production", None, None, True),
        # Under the name of another registry, an image is what it is.
        ("registry.corp:5000/vllm-openai:v0.32.0", "0.32.0", 13, True),
        ("registry.corp:5000/vllm-openai:v0.32.0-cu129" + DIGEST, "0.32.0", 12, True),
        ("registry.corp:5000/vllm-openai" + DIGEST, None, None, True),
        ("registry.corp:5000/vllm-openai-cpu:v0.32.0-x86_64", "0.32.0", None, True),
        ("nvcr.io/nvidia/vllm:26.05.post1-py3", "0.20.1", 13, False),
        ("nvcr.io/nvidia/vllm:26.05-py3-igpu", "0.20.1", 13, False),
        ("registry.corp:5000/vllm:26.05.post1-py3", "0.20.1", 13, False),
        ("registry.corp:5000/nvidia/vllm" + DIGEST, None, None, False),
        ("registry.corp:5000/vllm:r36.4-tegra-aarch64-cu126-22.04", None, 12, False),
        ("registry.corp:5000/vllm:0.8.6-r36.4-cu128-24.04", "0.8.6", 12, False),
        # The version of LMCache, not of the vLLM in it.
        ("lmcache/vllm-openai:v0.3.9", None, None, True),
        ("registry.corp:5000/vllm:1.2.3", "1.2.3", None, True),
        ("own/vllm" + DIGEST, None, None, True),
    ],
)
def test_what_an_image_name_tells(image: str, version: str | None, cuda: int | None, entrypoint: bool) -> None:
    assert (version_in(image), cuda_major(image), has_entrypoint(image)) == (version, cuda, entrypoint)


@pytest.mark.parametrize(
    ("engine", "image", "driver", "capability", "words"),
    [
        ("vllm", VLLM_IMAGE, "580.65.06", "12.0", None),
        ("vllm", VLLM_IMAGE, "575.51.03", "8.9", "580 or newer; the host has 575.51.03"),
        ("vllm", f"{VLLM_IMAGE}-cu129", "535.54.03", "8.9", None),
        ("vllm", f"{VLLM_IMAGE}-cu129", "520.1", "8.9", "525"),
        ("vllm", f"{VLLM_IMAGE}-cu129", "565.1", "12.0", "needs the NVIDIA driver 570"),
        ("vllm", VLLM_IMAGE, "595.1", "6.1", "needs 7.5"),
        ("vllm", "own/vllm:1", "535.1", "8.9", None),
        ("ollama", "ollama/ollama:0.32.15", "550.1", "8.9", None),
        ("ollama", "ollama/ollama:0.32.15", "535.1", "8.9", "Ollama needs the NVIDIA driver 550"),
        ("ollama", "ollama/ollama:0.32.15", "560.1", "6.1", "Ollama needs the NVIDIA driver 570"),
    ],
)
def test_driver_and_image(engine: str, image: str, driver: str, capability: str, words: str | None) -> None:
    hardware = read_hardware(dgpu(gpu(compute_capability=capability), driver={"version": driver, "state": "ok"}), "facts")
    assert hardware is not None
    trouble = ENGINES[engine].image_trouble(image, hardware, ())
    assert trouble is None if words is None else words in (trouble or "")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("595.45.04", (595, 45, 4)),
        ("v0.32.0-cu129", (0, 32, 0)),
        ("R36.4.7", (36, 4, 7)),
        ("x", None),
        (None, None),
        ("1.²", (1,)),
        ("9" * 30, None),
    ],
)
def test_version_tuple(text: str | None, numbers: tuple[int, ...] | None) -> None:
    assert version_tuple(text) == numbers


@pytest.mark.parametrize(
    ("image", "given", "version", "packages", "words"),
    [
        (VLLM_IMAGE, False, "0.32.0", ("vllm[audio]==0.32.0",), ""),
        ("registry.corp/vllm-openai:v0.31.0", True, "0.31.0", ("vllm[audio]==0.31.0",), ""),
        ("registry.corp/vllm-openai" + DIGEST, True, "0.32.0", ("vllm[audio]==0.32.0",), ""),
        (
            "registry.corp/vllm-openai" + DIGEST,
            True,
            None,
            (),
            "lacks vLLM's audio packages, so every transcription of asr fails; say engine_version",
        ),
        ("lmcache/vllm-openai:v0.3.9", True, "0.32.0", ("vllm[audio]==0.32.0",), ""),
        (VLLM_ORIN_JETPACK6, False, None, (), "lacks vLLM's audio packages"),
        ("nvcr.io/nvidia/vllm:26.10-py3", True, "0.31.0", (), 'say image_packages: ["vllm[audio]==0.31.0"], or []'),
        ("own/speech:1", True, None, (), "whether own/speech:1 has vLLM's audio packages is not known"),
    ],
)
def test_a_transcription_model_gets_the_audio_packages_or_a_warning(
    image: str, given: bool, version: str | None, packages: tuple[str, ...], words: str
) -> None:
    found, warning = audio_packages(image, given, version, "asr")
    assert found == packages
    assert words in warning
    assert bool(words) == bool(warning)


@pytest.mark.parametrize(
    ("engine", "image", "version", "words"),
    [
        ("vllm", VLLM_IMAGE, "0.32.0", None),
        ("vllm", "registry.corp/vllm-openai" + DIGEST, None, "say engine_version"),
        ("vllm", "registry.corp/vllm-openai" + DIGEST, "0.31.0", "vLLM 0.31.0 is vulnerable"),
        ("vllm", "nvcr.io/nvidia/vllm:27.01-py3", None, "say engine_version"),
        ("vllm", "own/vllm:production", None, None),
        ("ollama", "registry.corp/ollama:0.12.3", "0.12.3", "Ollama 0.12.3 is vulnerable"),
        ("ollama", "registry.corp/ollama" + DIGEST, None, None),
    ],
)
def test_what_is_told_of_a_version(engine: str, image: str, version: str | None, words: str | None) -> None:
    trouble = ENGINES[engine].version_trouble(image, version)
    assert trouble is None if words is None else words in (trouble or "")
