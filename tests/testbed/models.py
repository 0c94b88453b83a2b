# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiny models, generated offline inside the engine's image and mounted read-only into every node at /srv/models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from testbed import images, settings
from testbed.shell import BedError, run, say

STANDARD = ("chat", "embed", "rerank", "vision", "asr")
KINDS_WITH_REPLY = ("chat", "vision", "asr")
_GENERATOR = settings.RECIPES / "models" / "make_models.py"


def request(kind: str, name: str = "", reply: str = "") -> str:
    """What the generator takes: KIND, KIND=NAME or KIND=NAME=REPLY."""
    if kind not in STANDARD:
        raise BedError(f"Unknown kind of model '{kind}'. Known: {', '.join(STANDARD)}.")
    if "/" in name or "=" in name or name.startswith("."):
        raise BedError(f"'{name}' is no model name: it becomes a folder below /srv/models.")
    if reply and kind not in KINDS_WITH_REPLY:
        raise BedError(f"A model of kind '{kind}' has no reply to script. These have: {', '.join(KINDS_WITH_REPLY)}.")
    return "=".join(part for part in (kind, name, reply) if part)


def ensure(requests: Sequence[str] = STANDARD) -> None:
    """Generate the models whose recipe or wish changed."""
    missing = [wish for wish in requests if _mark(wish).exists() is False or _mark(wish).read_text() != _state(wish)]
    if not missing:
        say(f"models: {', '.join(_folder(wish).name for wish in requests)} are there")
        return
    images.ensure_one("vllm")
    settings.MODELS.mkdir(parents=True, exist_ok=True)
    for wish in missing:
        shutil.rmtree(_folder(wish), ignore_errors=True)
    seconds = _generate("models", "models/make_models.py", "/models", *missing)
    for wish in missing:
        _mark(wish).parent.mkdir(parents=True, exist_ok=True)
        _mark(wish).write_text(_state(wish))
    say(f"models: {', '.join(_folder(wish).name for wish in missing)} made in {seconds:.0f} s")


def ensure_agent() -> None:
    """Generate the model that coding agents are tested with, unless it is there."""
    name = "tiny-agent"
    mark, sources = _mark(f"chat={name}"), [_GENERATOR, *(settings.RECIPES / "agent").glob("*.py")]
    state = images.fingerprint({path.name: path.read_bytes() for path in sources})
    if mark.exists() and mark.read_text() == state:
        say(f"models: {name} is there")
        return
    images.ensure_one("vllm")
    settings.MODELS.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(settings.MODELS / name, ignore_errors=True)
    seconds = _generate(f"models {name}", "agent/make_agent.py", f"/models/{name}")
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(state)
    say(f"models: {name} made in {seconds:.0f} s")


def _generate(step: str, program: str, *arguments: str) -> float:
    """Run a generator in the engine's image; return the seconds it took."""
    command = ["docker", "run", "--rm", "--network", "none", "--label", f"{settings.LABEL}=1", "--env", "PYTHONPATH=/recipes/models"]
    command += ["--volume", f"{settings.RECIPES}:/recipes:ro", "--volume", f"{settings.MODELS}:/models", "--entrypoint", "python3"]
    return run([*command, images.reference("vllm"), f"/recipes/{program}", *arguments], step=step)


def _folder(wish: str) -> Path:
    kind, _, rest = wish.partition("=")
    return settings.MODELS / (rest.partition("=")[0] or f"tiny-{kind}")


def _mark(wish: str) -> Path:
    return settings.STATE / "models.made" / _folder(wish).name


def _state(wish: str) -> str:
    return images.fingerprint({"wish": wish.encode(), "generator": _GENERATOR.read_bytes()})
