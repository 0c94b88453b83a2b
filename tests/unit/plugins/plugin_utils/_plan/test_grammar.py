# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts of an inventory, and what Docker, DNS and the file system take. tests/real compares the same tables with Docker itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.nasty import IMAGES, PATHS, SIZES

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.grammar import (
    IMAGE,
    NETWORK_NAME,
    PATH,
    REVISION,
    UNIT_NAME,
    address_trouble,
    docker_size,
    host_trouble,
    path_trouble,
    source_trouble,
    target_trouble,
    volume_trouble,
)
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.schema_services import unit_name


@pytest.mark.parametrize(("image", "good"), IMAGES)
def test_images(image: str, good: bool) -> None:
    assert (re.fullmatch(IMAGE, image) is not None) is good


@pytest.mark.parametrize(("value", "size"), SIZES)
def test_sizes_in_every_spelling_of_docker(value: Any, size: int | None) -> None:
    found = docker_size(value)
    factor = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
    assert (None if found is None else int(found[:-1]) * factor[found[-1]]) == size


@pytest.mark.parametrize(("value", "written"), [("16g", "16g"), ("16G", "16g"), ("16GiB", "16384m"), ("512MiB", "512m"), ("64m", "64m")])
def test_sizes_that_were_taken_before_are_written_as_before(value: str, written: str) -> None:
    assert docker_size(value) == written


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("chat", True),
        ("qwen3.5-9b_x", True),
        ("a" * 58, True),
        ("a" * 59, False),
        ("a" * 30 + "." + "b" * 32, True),
        ("a." + "b" * 59, False),
        ("a." * 31 + "bc", False),
        ("a.", False),
        ("a..b", False),
        (".a", False),
        ("-a", False),
        ("a/b", False),
        ("a%b", False),
        ("a@b", False),
        ("käse", False),
        ("a\n", False),
        ("", False),
    ],
)
def test_names_of_services(name: str, good: bool) -> None:
    assert (re.fullmatch(UNIT_NAME, name) is not None) is good


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen3-8B", "qwen-qwen3-8b"),
        ("a" * 128, "a" * 58),
        ("x." + "b" * 70, "x." + "b" * 58),
        ("a..b", "a.b"),
        ("org/" + "m" * 30 + ".gguf:Q4_K_M", "org-" + "m" * 30 + ".gguf-q4_k_m"),
        ("+++", "model"),
    ],
)
def test_a_name_that_follows_from_the_model(model: str, name: str) -> None:
    assert unit_name(model) == name
    assert re.fullmatch(UNIT_NAME, name)


@pytest.mark.parametrize(("path", "good"), PATHS)
def test_paths(path: str, good: bool) -> None:
    assert (path_trouble(path) is None) is good
    assert (volume_trouble(path) is None) is (good and ":" not in path)


@pytest.mark.parametrize(("target", "good"), [("/models", True), ("/dev/shm", True), ("/procession", True), ("/", False), ("//", False)])
@pytest.mark.parametrize("tail", ["", "/", "/x/.."])
def test_targets_of_mounts(target: str, good: bool, tail: str) -> None:
    assert (target_trouble(target + tail) is None) is good


@pytest.mark.parametrize("target", ["/proc", "/proc/1", "/x/../proc", "//proc", "/a:b", "x"])
def test_targets_that_are_none(target: str) -> None:
    assert target_trouble(target) is not None


@pytest.mark.parametrize(
    ("source", "good"),
    [
        ("Qwen/Qwen3-8B", True),
        ("qwen3:4b", True),
        ("hf.co/bartowski/Qwen3-GGUF:Q4_K_M", True),
        ("s3://bucket/model", True),
        ("/models/a b,c", True),
        ('/models/"x"', True),
        ("-x", False),
        ("--trust-remote-code", False),
        ("a b", False),
        ("käse/x", False),
        ('a"b', False),
        ("/models/a\nb", False),
        ("a\x7f", False),
    ],
)
def test_sources(source: str, good: bool) -> None:
    assert (source_trouble(source) is None) is good


@pytest.mark.parametrize(
    ("address", "good"),
    [("10.0.0.1", True), ("::1", True), ("fe80::1%eth0", False), ("10.0.0", False), ("localhost", False), ("10.0.0.1:22", False)],
)
def test_addresses(address: str, good: bool) -> None:
    assert (address_trouble(address) is None) is good


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("node1", True),
        ("gpu_1.example.com", True),
        ("example.com.", True),
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("[2001:db8::1]", True),
        ("a" * 64, False),
        ("10.0.0.1:22", False),
        ("999.1.1.1", False),
        ("user@node1", False),
        ("http://node1", False),
        ("node1/x", False),
        ("a..b", False),
        ("größe", False),
        ("fe80::1%eth0", False),
        ("-a", False),
        ("", False),
    ],
)
def test_hosts(host: str, good: bool) -> None:
    assert (host_trouble(host) is None) is good


@pytest.mark.parametrize(
    ("pattern", "text", "good"),
    [
        (NETWORK_NAME, "inference", True),
        (NETWORK_NAME, "hosting", True),
        *((NETWORK_NAME, name, False) for name in ("host", "none", "bridge", "default", "ingress", "container:x", "-x", "a b")),
        (PATH, "/embeddings/v1/embeddings", True),
        (PATH, "/a/", True),
        (PATH, "/.well-known", True),
        *((PATH, path, False) for path in ("/", "//a", "/a//b", "/../a", "/a/..", "/./a", "/a?b", "/ä", "/a%20b", "/{a}", "a")),
        (REVISION, "main", True),
        (REVISION, "refs/pr/1", True),
        *((REVISION, text, False) for text in ("-x", "--help", "a b", "")),
    ],
)
def test_patterns(pattern: str, text: str, good: bool) -> None:
    assert (re.fullmatch(pattern, text) is not None) is good
