# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and places of the test bed. One bed per machine: checkouts share its engine, images and network."""

from __future__ import annotations

import os
from pathlib import Path

LABEL = "io.llmops.gpu-inference.testbed"
"""Every container, volume, network and image of the bed carries this label with the value 1; nothing else is ever removed."""

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
RECIPES = HERE / "recipes"

STATE = Path(os.environ.get("GPU_INFERENCE_TESTBED_DIR") or "/var/lib/gpu-inference-testbed")
LOGS = STATE / "logs"
MODELS = STATE / "models"

NETWORK = "gpu-inference-testbed"
SUBNET = os.environ.get("GPU_INFERENCE_TESTBED_SUBNET", "172.30.16.0/24")
"""Away from Docker's own pools and from 10.89.0.0/16, where the nodes' inference networks live."""

REGISTRY_CONTAINER = "gpu-inference-testbed-registry"
REGISTRY_NAME = "registry.testbed"
REGISTRY_PORT = 5000
REGISTRY_HOST_PORT = int(os.environ.get("GPU_INFERENCE_TESTBED_REGISTRY_PORT", "15000"))

IMAGE_PREFIX = "gpu-inference-testbed"
VLLM_TAG = "v0.32.0-cpu"
LITELLM_TAG = "v1.110.2"
LITELLM_TAG_BEFORE = "v1.106.9"
"""The release that the collection pinned before, for tests of an upgrade."""
OLLAMA_TAG = "0.32.15"
CRAWL4AI_TAG = "0.9.5"
LLAMA_CPP_TAG = "server-forky"
"""The vendor's tags end with a build's number; here it is whatever Debian's next release has (0.7.0, build 11669, in November 2026)."""

MIRROR = os.environ.get("GPU_INFERENCE_TESTBED_MIRROR", "http://deb.debian.org/debian")

DEMO_NODE = "gpu-inference-demo"
DEMO_PORT = 8400
