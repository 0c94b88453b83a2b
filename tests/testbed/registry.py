# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's private registry: plain http, by name for nodes, on the loopback for the controller."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from testbed import images, nodes, settings
from testbed.shell import BedError, capture, run, say, succeeds

VOLUME = "gpu-inference-testbed-registry"
_READY_SECONDS = 30
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Published:
    """An image under the name that nodes pull."""

    recipe: str
    repository: str
    tag: str

    @property
    def for_nodes(self) -> str:
        return f"{settings.REGISTRY_NAME}:{settings.REGISTRY_PORT}/{self.repository}:{self.tag}"

    @property
    def for_controller(self) -> str:
        return f"127.0.0.1:{settings.REGISTRY_HOST_PORT}/{self.repository}:{self.tag}"


PUBLISHED = (
    Published("litellm", "berriai/litellm", settings.LITELLM_TAG),
    Published("vllm", "vllm/vllm-openai", settings.VLLM_TAG),
)


def run_arguments() -> list[str]:
    arguments = ["docker", "run", "--detach", "--name", settings.REGISTRY_CONTAINER, "--label", f"{settings.LABEL}=1"]
    arguments += ["--network", settings.NETWORK, "--network-alias", settings.REGISTRY_NAME]
    arguments += ["--publish", f"127.0.0.1:{settings.REGISTRY_HOST_PORT}:{settings.REGISTRY_PORT}"]
    return [*arguments, "--volume", f"{VOLUME}:/var/lib/docker-registry", images.reference("registry")]


def ensure() -> None:
    """Run the registry and publish what it lacks."""
    start()
    for published in PUBLISHED:
        publish(published.recipe)


def start() -> None:
    images.ensure_one("registry")
    nodes.ensure_network()
    _ensure_container()


def publish(recipe: str) -> None:
    """Push the image of this recipe under the name that nodes pull, unless the registry holds it."""
    images.ensure_one(recipe)
    for published in PUBLISHED:
        if published.recipe == recipe:
            _publish(published)


def _ensure_container() -> None:
    name = settings.REGISTRY_CONTAINER
    running = capture(["docker", "container", "inspect", "--format", "{{.State.Running}} {{.Config.Image}}", name], check=False)
    if running and running != f"true {images.reference('registry')}":
        capture(["docker", "rm", "--force", name])
        running = ""
    if not running:
        if not succeeds(["docker", "volume", "inspect", VOLUME]):
            capture(["docker", "volume", "create", "--label", f"{settings.LABEL}=1", VOLUME])
        capture(run_arguments())
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers():
        if time.monotonic() > deadline:
            logs = capture(["docker", "logs", "--tail", "10", name], check=False)
            raise BedError(f"The registry did not answer on 127.0.0.1:{settings.REGISTRY_HOST_PORT} within {_READY_SECONDS} s.\n{logs}")
        time.sleep(0.2)
    say(f"registry: {settings.REGISTRY_NAME}:{settings.REGISTRY_PORT} answers")


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.REGISTRY_HOST_PORT}/v2/", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _held(published: Published) -> set[str]:
    """The digests by which the engine may know the image that the registry holds under this name."""
    url = f"http://127.0.0.1:{settings.REGISTRY_HOST_PORT}/v2/{published.repository}/manifests/{published.tag}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": _MANIFEST}), timeout=10) as reply:
            manifest = json.load(reply)
            return {manifest["config"]["digest"], reply.headers["Docker-Content-Digest"]}
    except urllib.error.HTTPError:
        return set()


def _publish(published: Published) -> None:
    image = images.reference(published.recipe)
    if images.image_id(image) in _held(published):
        say(f"registry: {published.for_nodes} is there")
        return
    capture(["docker", "tag", image, published.for_controller])
    seconds = run(["docker", "push", "--quiet", published.for_controller], step=f"registry push {published.recipe}")
    capture(["docker", "image", "rm", published.for_controller], check=False)
    say(f"registry: {published.for_nodes} pushed in {seconds:.0f} s")
