# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make versions`: what the collection pins, the newest that can be had, and the known vulnerabilities of both.

The exit status is 1 where a pinned version is vulnerable. One that is behind, or whose newest cannot be asked for from here, is told only.
With --page it writes the table of docs/advisories.md instead (`make docs`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.ollama import IMAGE as OLLAMA_IMAGE
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_images import VLLM_VERSION
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.advisories import ADVISORIES, LITELLM, OLLAMA, TOOLKIT, VLLM, known
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.images import LITELLM_IMAGE, version_in
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.platform import version_tuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "advisories.md"
PATIENCE = 20
"""Seconds for one question to a server."""


class UnreachableError(Exception):
    """The newest version cannot be asked for from here; the message says why."""


@dataclass(frozen=True)
class Pin:
    program: str
    version: str
    newest: Callable[[], str]


def newest_of(versions: Iterable[str]) -> str:
    """Return the highest of those that are numbers alone: no candidates, no variants of an image."""
    numbers = [version.lstrip("v") for version in versions if re.fullmatch(r"v?\d+(\.\d+)+", version)]
    if not numbers:
        raise UnreachableError("no version in the answer")
    return max(numbers, key=lambda version: version_tuple(version) or ())


def of_pip(text: str) -> str:
    """Return the version in the first line of `pip index versions`: the newest that this Python can install."""
    found = re.search(r"^\S+ \(([^)]+)\)$", text, re.M)
    if found is None:
        raise UnreachableError("pip finds no version of it")
    return found[1]


def of_tags(text: str) -> str:
    """Return the newest of the tags that Docker Hub lists."""
    return newest_of(tag["name"] for tag in json.loads(text)["results"])


def of_packages(text: str) -> str:
    """Return the newest version in an index of Debian packages, without its revision."""
    found = re.findall(r"^Package: nvidia-container-toolkit\n(?:[^\n]+\n)*?Version: ([^\n-]+)", text, re.M)
    return newest_of(found)


def pypi(name: str) -> str:
    argv = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", name]
    return of_pip(subprocess.run(argv, capture_output=True, text=True, check=False).stdout)


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return str(answer.read().decode())
    except OSError as error:
        raise UnreachableError(f"{url.split('/')[2]} is out of reach ({getattr(error, 'reason', error)})") from error


def pins() -> list[Pin]:
    """What users run, and the Ansible that they run it with."""
    defaults = yaml.safe_load((ROOT / "roles/nvidia_container_toolkit/defaults/main.yml").read_text(encoding="utf-8"))
    required = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M))
    tags = "https://hub.docker.com/v2/repositories/ollama/ollama/tags?page_size=100&ordering=last_updated"
    repository = f"{defaults['nvidia_container_toolkit_repository_url']}/deb/amd64/Packages"
    return [
        Pin(VLLM, VLLM_VERSION, lambda: pypi("vllm")),
        Pin(LITELLM, version_in(LITELLM_IMAGE) or "", lambda: pypi("litellm")),
        Pin(OLLAMA, version_in(OLLAMA_IMAGE) or "", lambda: of_tags(fetched(tags))),
        Pin(TOOLKIT, defaults["nvidia_container_toolkit_version"], lambda: of_packages(fetched(repository))),
        Pin("ansible", required["ansible"], lambda: pypi("ansible")),
        Pin("ansible-core", required["ansible-core"], lambda: pypi("ansible-core")),
    ]


def told(pin: Pin) -> tuple[list[str], bool]:
    """Return the cells of a pin's row, and whether the pin is vulnerable."""
    advisories = ", ".join(item.identity for item in known(pin.program, pin.version))
    try:
        newest = pin.newest()
    except UnreachableError as error:
        return [pin.program, pin.version, f"not known: {error}", advisories], bool(advisories)
    behind = (version_tuple(pin.version) or ()) < (version_tuple(newest) or ())
    also = ", ".join(item.identity for item in known(pin.program, newest))
    state = f"{newest}{', the pin is behind' if behind else ''}{f' (vulnerable: {also})' if also else ''}"
    return [pin.program, pin.version, state, advisories], bool(advisories)


def lines(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows)


def table() -> str:
    dotted = [".".join(map(str, item.introduced)) if any(item.introduced) else "any" for item in ADVISORIES]
    rows = ["| program | from | fixed in | what | advisory |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| {item.program} | {since} | {'.'.join(map(str, item.fixed))} | {item.what} | {item.identity} |"
        for item, since in zip(ADVISORIES, dotted, strict=True)
    ]
    return "\n".join(rows) + "\n"


def page_with_table(page: str) -> str:
    return re.sub(
        r"(<!-- BEGIN_ADVISORIES -->\n).*?(<!-- END_ADVISORIES -->)", lambda found: found[1] + table() + found[2], page, flags=re.S
    )


def main(arguments: list[str]) -> int:
    if arguments == ["--page"]:
        PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write("docs/advisories.md is up to date\n")
        return 0
    found = [told(pin) for pin in pins()]
    sys.stdout.write(lines([["program", "pinned", "newest that can be had", "known advisories"], *(row for row, _vulnerable in found)]))
    return 1 if any(vulnerable for _row, vulnerable in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
