# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the test bed that decide something without touching Docker."""

from __future__ import annotations

from pathlib import Path

import pytest
from testbed import bed, engine, everything, images, models, nodes, registry, settings
from testbed.shell import BedError, clock

INPUTS = {"file build.sh": b"debootstrap", "variable SUITE": b"trixie"}


def test_fingerprint_is_stable_and_short() -> None:
    assert images.fingerprint(INPUTS) == images.fingerprint(dict(reversed(INPUTS.items())))
    assert len(images.fingerprint(INPUTS)) == 12


@pytest.mark.parametrize(
    "other",
    [
        {**INPUTS, "variable SUITE": b"bookworm"},
        {**INPUTS, "file more": b""},
        {"file build.sh": b"debootstrap"},
        {"file build.shd": b"ebootstrap", "variable SUITE": b"trixie"},
    ],
    ids=["content", "added", "removed", "moved across the border of name and content"],
)
def test_fingerprint_changes_with_every_input(other: dict[str, bytes]) -> None:
    assert images.fingerprint(other) != images.fingerprint(INPUTS)


@pytest.mark.parametrize("name", sorted(images.RECIPES))
def test_recipe_has_its_script_and_base(name: str) -> None:
    recipe = images.RECIPES[name]
    assert (settings.RECIPES / recipe.folder / "build.sh").is_file()
    assert recipe.base is None or recipe.base in images.RECIPES
    assert images.reference(name).startswith(f"{recipe.alias}-")


def test_image_depends_on_its_base() -> None:
    inputs = images.recipe_inputs(images.RECIPES["vllm"])
    assert inputs["base"].decode() == images.recipe_hash(images.RECIPES["python"])
    assert "file requirements.txt" in inputs


def test_suites_differ() -> None:
    assert images.reference("node-trixie") != images.reference("node-bookworm")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["node"], ["node-trixie", "node-bookworm"]),
        (["vllm", "vllm"], ["vllm"]),
        (["demo", "vllm"], ["node-trixie", "vllm", "litellm", "registry"]),
    ],
)
def test_expand(names: list[str], expected: list[str]) -> None:
    assert images.expand(names) == expected


@pytest.mark.parametrize("name", ["vlm", "python"])
def test_expand_names_what_is_known(name: str) -> None:
    with pytest.raises(BedError, match=rf"Unknown image '{name}'. Known: all, crawl4ai, demo, litellm,"):
        images.expand([name])


def test_node_runs_without_privileged() -> None:
    arguments = nodes.run_arguments(nodes.Node("node-a", "image:tag", "172.30.16.9", ("127.0.0.1:8400:8400",)), Path("/var/lib/bed/models"))
    assert "--privileged" not in arguments
    assert arguments[-2:] == ["image:tag", "/sbin/init"]
    for flag, value in [
        ("--cap-drop", "SYS_RESOURCE"),
        ("--security-opt", "systempaths=unconfined"),
        ("--volume", "gpu-inference-testbed-node-a:/var/lib/docker"),
        ("--volume", "/var/lib/bed/models:/srv/models:ro"),
        ("--ip", "172.30.16.9"),
        ("--publish", "127.0.0.1:8400:8400"),
        ("--label", f"{settings.LABEL}=1"),
    ]:
        assert (flag, value) in zip(arguments, arguments[1:])


def test_node_is_made_anew_when_its_settings_change() -> None:
    plain = nodes.Node("node-a", "image:1")
    assert nodes.spec_hash(plain) == nodes.spec_hash(nodes.Node("node-a", "image:1"))
    assert nodes.spec_hash(plain) != nodes.spec_hash(nodes.Node("node-a", "image:2"))
    assert nodes.spec_hash(plain) != nodes.spec_hash(nodes.Node("node-a", "image:1", publish=("127.0.0.1:1:1",)))


@pytest.mark.parametrize("name", ["a", "-a", "A1", "a_b", "a.b", "a-", ""])
def test_node_names_are_host_names(name: str) -> None:
    with pytest.raises(BedError, match="is no node name"):
        nodes.check_name(name)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("chat",), "chat"),
        (("embed", "other"), "embed=other"),
        (("chat", "node-a", "Hello from node-a."), "chat=node-a=Hello from node-a."),
    ],
)
def test_model_request(arguments: tuple[str, ...], expected: str) -> None:
    assert models.request(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chats",), "Known: chat, embed, rerank, vision, asr"),
        (("chat", "../etc"), "is no model name"),
        (("embed", "other", "Hello."), "has no reply to script"),
    ],
)
def test_model_request_refuses(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BedError, match=message):
        models.request(*arguments)


def test_image_manifest_says_which_layers_are_compressed() -> None:
    texts = {"config.json": b'{"rootfs": {"diff_ids": ["sha256:aa", "sha256:bb"]}}'}
    blobs = {"config.json": ("sha256:cc", 51), "1/layer.tar": ("sha256:aa", 1000), "2/layer.tar": ("sha256:dd", 10)}
    manifest = registry.image_manifest({"Config": "config.json", "Layers": ["1/layer.tar", "2/layer.tar"]}, texts, blobs)
    assert manifest["config"]["digest"] == "sha256:cc"
    assert [(layer["digest"], layer["mediaType"].rpartition(".")[2]) for layer in manifest["layers"]] == [
        ("sha256:aa", "tar"),
        ("sha256:dd", "gzip"),
    ]


def test_nodes_pull_by_name() -> None:
    names = {published.recipe: published.for_nodes for published in registry.PUBLISHED}
    assert names["litellm"] == "registry.testbed:5000/berriai/litellm:v1.110.2"
    assert names["vllm"] == "registry.testbed:5000/vllm/vllm-openai:v0.32.0-cpu"
    assert names["llama-cpp"] == "registry.testbed:5000/ggml-org/llama.cpp:server-forky"


def test_llama_cpp_is_built_only_where_it_is_asked_for() -> None:
    assert "llama-cpp" not in images.expand(images.GROUPS)
    assert images.expand(["llama-cpp"]) == ["llama-cpp"]


def test_what_brings_models_is_published() -> None:
    assert set(everything.MODELS_WITH) <= {published.recipe for published in registry.PUBLISHED}


def test_own_engine_keeps_its_data_in_the_beds_folder() -> None:
    arguments = engine.start_arguments()
    for flag in ("--data-root", "--pidfile"):
        assert arguments[arguments.index(flag) + 1].startswith(str(settings.STATE))


@pytest.mark.parametrize(
    ("data", "answers", "systemd", "started"),
    [
        pytest.param(True, False, False, True, id="killed"),
        pytest.param(True, True, False, False, id="runs"),
        pytest.param(False, False, False, False, id="nothing was made"),
        pytest.param(True, False, True, False, id="systemd's engine"),
    ],
)
def test_an_engine_that_was_killed_is_woken_to_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bool, answers: bool, systemd: bool, started: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(engine, "_DATA", tmp_path / "data")
    monkeypatch.setattr(engine, "answers", lambda: answers)
    monkeypatch.setattr(engine, "with_systemd", lambda: systemd)
    monkeypatch.setattr(engine, "is_root", lambda: True)
    monkeypatch.setattr(engine, "missing_programs", list)
    monkeypatch.setattr(engine, "_start", lambda: calls.append("start"))
    if data:
        (tmp_path / "data").mkdir()
    engine.wake()
    assert bool(calls) is started


def test_clock() -> None:
    assert [clock(0), clock(59.9), clock(61), clock(3600)] == ["00:00", "00:59", "01:01", "60:00"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["engine"],
        ["up"],
        ["up", "--with", "vllm", "--with", "llama-cpp"],
        ["images", "vllm"],
        ["node", "node-a", "--image", "bookworm"],
        ["node-rm", "node-a"],
        ["clean", "--images"],
        ["demo"],
    ],
)
def test_command_line(arguments: list[str]) -> None:
    assert bed.parser().parse_args(arguments).command == arguments[0]
