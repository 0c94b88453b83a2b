# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
from ansible_collections.llmops.gpu_inference.plugins.module_utils._prefetch import prefetch
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import download_arguments
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Wanted, want

TOKEN = "hf_a-canary-that-must-not-be-seen"
IMAGE = "vllm/vllm-openai:v0.32.0"


def wanted(name: str = "chat", **changes: Any) -> Wanted:
    return want(
        {
            "kind": "vllm",
            "name": name,
            "image": IMAGE,
            "pull": "missing",
            "networks": ["inference_engines", "other"],
            "docker_arguments": [
                "--init",
                "--publish=127.0.0.1:8070:8000",
                "--runtime=nvidia",
                "--mount=type=bind,source=/srv/models,target=/srv/models",
                "--volume=/var/lib/gpu-inference/huggingface:/root/.cache/huggingface",
                f"--volume=/etc/gpu-inference/instances/vllm/{name}/config.yaml:/etc/vllm/config.yaml:ro",
            ],
            "files": {"config.yaml": "model: x\n"},
            "locks": [],
            "probe": None,
            "stop_timeout": 60,
            "environment": {"HF_ENDPOINT": "http://hub"},
            "secret_environment": {"HF_TOKEN": TOKEN},
            "download_entrypoint": "python3",
            "download_command": ["-c", "get", "org/model", ""],
            **changes,
        }
    )


class PlayedDocker:
    """Plays docker: images that are here, images that the registry has, and what a download says."""

    def __init__(self, here: Sequence[str] = (), registry: Sequence[str] = (IMAGE,), download: Ran | None = None) -> None:
        self.here = dict.fromkeys(here, "old")
        self.registry = registry
        self.download = download or Ran(0)
        self.calls: list[list[str]] = []
        self.env = ""

    def __call__(self, argv: Sequence[str], timeout: float, text: str = "", /) -> Ran:
        self.calls.append(list(argv[1:]))
        image = argv[-1]
        if argv[1] == "image":
            return Ran(0, self.here[image]) if image in self.here else Ran(1)
        if argv[1] == "pull":
            if image not in self.registry:
                return Ran(1, "", "manifest unknown")
            self.here[image] = "new"
        if argv[1] == "run":
            self.env = Path(argv[argv.index("--env-file") + 1]).read_text(encoding="utf-8")
            return self.download
        return Ran(0)

    def ran(self, word: str) -> list[list[str]]:
        return [call for call in self.calls if call[0] == word]


PROGRESS = Ran(0, "Downloading org/model: 50%|\nDownloading org/model: 100%|\n")


@pytest.mark.parametrize(
    ("docker", "changes", "images", "models"),
    [
        (PlayedDocker(download=PROGRESS), {}, [IMAGE], ["vllm/chat"]),
        (PlayedDocker(here=[IMAGE], download=PROGRESS), {}, [], ["vllm/chat"]),
        (PlayedDocker(here=[IMAGE]), {}, [], []),  # the second run
        (PlayedDocker(here=[IMAGE]), {"pull": "always"}, [IMAGE], []),  # the tag moved
        (PlayedDocker(here=[IMAGE]), {"pull": "never"}, [], []),
        (PlayedDocker(), {"download_command": []}, [IMAGE], []),
    ],
)
def test_what_is_missing_is_fetched(docker: PlayedDocker, changes: dict[str, Any], images: list[str], models: list[str]) -> None:
    fetched = prefetch([wanted(**changes)], Docker("docker", docker))
    assert (fetched.images, fetched.models, fetched.failures) == (images, models, [])
    assert fetched.changed is bool(images or models)


def test_an_image_for_several_is_pulled_once() -> None:
    docker = PlayedDocker()
    prefetch([wanted("a"), wanted("b")], Docker("docker", docker))
    assert len(docker.ran("pull")) == 1
    assert len(docker.ran("run")) == 2


def test_check_mode_only_looks() -> None:
    docker = PlayedDocker()
    assert prefetch([wanted()], Docker("docker", docker), check_mode=True).images == [IMAGE]
    assert {call[0] for call in docker.calls} == {"image"}


def test_the_token_is_in_a_file_that_goes() -> None:
    docker = PlayedDocker(here=[IMAGE])
    prefetch([wanted()], Docker("docker", docker))
    (argv,) = docker.ran("run")
    assert f"HF_TOKEN={TOKEN}\n" in docker.env
    assert TOKEN not in " ".join(argv)
    assert not Path(argv[argv.index("--env-file") + 1]).exists()


def test_a_download_makes_no_folders_and_takes_no_gpu() -> None:
    argv = download_arguments(wanted(), "vllm-chat-prefetch", "/x/env")
    assert argv[-5:] == [IMAGE, "-c", "get", "org/model", ""]
    assert "--volume=/var/lib/gpu-inference/huggingface:/root/.cache/huggingface" in argv
    assert argv[argv.index("--network") + 1] == "inference_engines"
    assert not any("instances/vllm/chat" in argument or "nvidia" in argument or "8070" in argument for argument in argv)


@pytest.mark.parametrize(
    ("docker", "changes", "words"),
    [
        (PlayedDocker(registry=[]), {}, ["cannot pull", IMAGE, "manifest unknown"]),
        (PlayedDocker(), {"pull": "never"}, [IMAGE, "pull is 'never'"]),
        (PlayedDocker(here=[IMAGE], download=Ran(1, "", f"GatedRepoError: no access with {TOKEN}")), {}, ["vllm/chat: bad_model", "token"]),
        (PlayedDocker(here=[IMAGE], download=Ran(1, "", "something new")), {}, ["vllm/chat: download_failed", "something new"]),
    ],
)
def test_what_cannot_be_fetched_is_told_with_its_cause(docker: PlayedDocker, changes: dict[str, Any], words: list[str]) -> None:
    fetched = prefetch([wanted(**changes)], Docker("docker", docker))
    (failure,) = fetched.failures
    for word in words:
        assert word in failure
    assert TOKEN not in failure


def test_one_failure_does_not_stop_the_others() -> None:
    docker = PlayedDocker(registry=["b"], download=PROGRESS)
    fetched = prefetch([wanted("a", image="a"), wanted("b", image="b")], Docker("docker", docker))
    assert (len(fetched.failures), fetched.images, fetched.models) == (1, ["b"], ["vllm/b"])
