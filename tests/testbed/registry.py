# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's private registry: plain http, by name for nodes, on the loopback for the controller."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import subprocess
import tarfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from testbed import images, nodes, settings
from testbed.shell import BedError, capture, say, succeeds

VOLUME = "gpu-inference-testbed-registry"
_READY_SECONDS = 30
_SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"
_MANIFEST = f"{_SCHEMA2}, application/vnd.oci.image.manifest.v1+json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Published:
    """An image under the name that nodes pull."""

    recipe: str
    repository: str
    tag: str

    @property
    def for_nodes(self) -> str:
        return f"{settings.REGISTRY_NAME}:{settings.REGISTRY_PORT}/{self.repository}:{self.tag}"


PUBLISHED = (
    Published("litellm", "berriai/litellm", settings.LITELLM_TAG),
    Published("vllm", "vllm/vllm-openai", settings.VLLM_TAG),
    Published("ollama", "ollama/ollama", settings.OLLAMA_TAG),
    Published("crawl4ai", "unclecode/crawl4ai", settings.CRAWL4AI_TAG),
    Published("llama-cpp", "ggml-org/llama.cpp", settings.LLAMA_CPP_TAG),
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
        connection = _connection()
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def _publish(published: Published) -> None:
    image = images.reference(published.recipe)
    pushed = settings.STATE / "published" / published.recipe
    state = f"{images.image_id(image)} {_manifest_digest(published)}"
    if pushed.exists() and pushed.read_text() == state:
        say(f"registry: {published.for_nodes} is there")
        return
    began = time.monotonic()
    digest = _upload(published, image)
    pushed.parent.mkdir(exist_ok=True)
    pushed.write_text(f"{images.image_id(image)} {digest}")
    say(f"registry: {published.for_nodes} published in {time.monotonic() - began:.0f} s")


def _manifest_digest(published: Published) -> str:
    """What the registry holds under this name; empty when it holds nothing."""
    connection = _connection()
    connection.request("HEAD", f"/v2/{published.repository}/manifests/{published.tag}", headers={"Accept": _MANIFEST})
    reply = connection.getresponse()
    return reply.getheader("Docker-Content-Digest", "") if reply.status == 200 else ""


def _upload(published: Published, image: str) -> str:
    """Put the image into the registry, layers as they are.

    `docker push` would compress them first and every node would have to unpack them: for images that never leave the machine this
    costs half a minute per side and saves nothing.
    """
    blobs: dict[str, tuple[str, int]] = {}
    texts: dict[str, bytes] = {}
    with (
        subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving,
        tarfile.open(fileobj=saving.stdout, mode="r|", bufsize=_CHUNK) as archive,
    ):
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.size < _CHUNK:
                texts[member.name] = content.read()
                content = io.BytesIO(texts[member.name])
            blobs[member.name] = (_put_blob(published.repository, content, member.size), member.size)
    if saving.returncode != 0:
        raise BedError(f"`docker save {image}` ended with {saving.returncode}")
    manifest = json.dumps(image_manifest(json.loads(texts["manifest.json"])[0], texts, blobs)).encode()
    reply = _ask(
        "PUT",
        f"/v2/{published.repository}/manifests/{published.tag}",
        manifest,
        {"Content-Type": _SCHEMA2, "Content-Length": str(len(manifest))},
    )
    return reply["docker-content-digest"]


def image_manifest(saved: Mapping[str, Any], texts: Mapping[str, bytes], blobs: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """The registry's manifest of an image from what `docker save` says about it."""
    plain = json.loads(texts[saved["Config"]])["rootfs"]["diff_ids"]

    def descriptor(name: str, media_type: str) -> dict[str, Any]:
        digest, size = blobs[name]
        return {"mediaType": media_type, "size": size, "digest": digest}

    return {
        "schemaVersion": 2,
        "mediaType": _SCHEMA2,
        "config": descriptor(saved["Config"], "application/vnd.docker.container.image.v1+json"),
        "layers": [
            # A layer whose digest is that of its content is not compressed.
            descriptor(name, "application/vnd.docker.image.rootfs.diff.tar" + ("" if blobs[name][0] in plain else ".gzip"))
            for name in saved["Layers"]
        ],
    }


def _put_blob(repository: str, content: IO[bytes], size: int) -> str:
    """Stream one blob; its digest is known at the end only."""
    place = _ask("POST", f"/v2/{repository}/blobs/uploads/", b"", {"Content-Length": "0"})["location"]
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            yield chunk

    place = _ask("PATCH", place, chunks(), {"Content-Type": "application/octet-stream", "Content-Length": str(size)})["location"]
    joint = "&" if "?" in place else "?"
    _ask("PUT", f"{place}{joint}digest=sha256:{digest.hexdigest()}", b"", {"Content-Length": "0"})
    return f"sha256:{digest.hexdigest()}"


def _connection() -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", settings.REGISTRY_HOST_PORT, timeout=300)


def _ask(method: str, place: str, body: bytes | Iterator[bytes], headers: Mapping[str, str]) -> dict[str, str]:
    """One request; the reply's headers, with names in lower case."""
    parts = urllib.parse.urlsplit(place)
    connection = _connection()
    try:
        connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body=body, headers=dict(headers))
        reply = connection.getresponse()
        text = reply.read().decode(errors="replace")
    except OSError as error:
        raise BedError(f"The registry on 127.0.0.1:{settings.REGISTRY_HOST_PORT} broke off {method} {parts.path}: {error}") from error
    finally:
        connection.close()
    if reply.status >= 300:
        raise BedError(f"The registry answered {method} {parts.path} with {reply.status}: {text[:500]}")
    return {name.lower(): value for name, value in reply.getheaders()}
