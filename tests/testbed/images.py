# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bed's images: each made from a folder under recipes/, tagged with a hash of its inputs, rebuilt only when these change.

To add one, make a folder with a build.sh (see recipes/common.sh for what it gets) and a line in RECIPES.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from testbed import engine, settings
from testbed.shell import BedError, capture, run, say, succeeds

_PYTHON_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8"


@dataclass(frozen=True)
class Recipe:
    """How one image is made."""

    name: str
    repository: str
    tag: str
    folder: str
    base: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    """Lines as in a Dockerfile, for `docker import`."""
    importable: bool = True
    """False for a root file system that only serves as a base."""

    @property
    def alias(self) -> str:
        return f"{settings.IMAGE_PREFIX}/{self.repository}:{self.tag}"


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("python", "python", "bookworm", "python", importable=False),
        *(
            Recipe(
                f"node-{suite}",
                "node",
                suite,
                "node",
                variables={"SUITE": suite},
                changes=("ENV container=docker LANG=C.UTF-8", 'CMD ["/sbin/init"]'),
            )
            for suite in ("trixie", "bookworm")
        ),
        Recipe(
            "vllm",
            "vllm",
            settings.VLLM_TAG,
            "vllm",
            base="python",
            changes=(
                f"ENV {_PYTHON_PATH} HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_ENABLE_V1_MULTIPROCESSING=0 "
                "TORCHDYNAMO_DISABLE=1 VLLM_USE_AOT_COMPILE=0 VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_MQ_MAX_CHUNK_BYTES_MB=2",
                'ENTRYPOINT ["vllm", "serve"]',
            ),
        ),
        *(
            Recipe(
                name,
                "litellm",
                tag,
                "litellm",
                base="python",
                variables={"VERSION": tag.removeprefix("v")},
                changes=(f"ENV {_PYTHON_PATH} HOME=/root", "WORKDIR /app", "EXPOSE 4000/tcp", 'ENTRYPOINT ["litellm"]'),
            )
            for name, tag in (("litellm", settings.LITELLM_TAG), ("litellm-before", settings.LITELLM_TAG_BEFORE))
        ),
        Recipe(
            "ollama",
            "ollama",
            settings.OLLAMA_TAG,
            "ollama",
            base="python",
            changes=(
                f"ENV {_PYTHON_PATH} HOME=/root OLLAMA_HOST=0.0.0.0:11434 "
                "NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility",
                "EXPOSE 11434/tcp",
                'ENTRYPOINT ["/bin/ollama"]',
                'CMD ["serve"]',
            ),
        ),
        Recipe(
            "crawl4ai",
            "crawl4ai",
            settings.CRAWL4AI_TAG,
            "crawl4ai",
            base="python",
            changes=(f"ENV {_PYTHON_PATH}", "EXPOSE 11235/tcp", 'CMD ["/app/server.py"]'),
        ),
        Recipe(
            "llama-cpp",
            "llama.cpp",
            settings.LLAMA_CPP_TAG,
            "llama-cpp",
            changes=(
                f"ENV {_PYTHON_PATH} LLAMA_ARG_HOST=0.0.0.0",
                "WORKDIR /app",
                'HEALTHCHECK CMD ["curl", "-f", "http://localhost:8080/health"]',
                'ENTRYPOINT ["/app/llama-server"]',
            ),
        ),
        Recipe(
            "registry",
            "registry",
            "debian",
            "registry",
            base="python",
            changes=('ENTRYPOINT ["/usr/bin/docker-registry"]', 'CMD ["serve", "/etc/docker/registry/config.yml"]'),
        ),
    )
}

GROUPS: dict[str, tuple[str, ...]] = {
    "node": ("node-trixie", "node-bookworm"),
    "demo": ("node-trixie", "vllm", "litellm", "registry"),
    "all": ("node-trixie", "vllm", "litellm", "ollama", "crawl4ai", "registry", "node-bookworm"),
}


def fingerprint(inputs: Mapping[str, bytes]) -> str:
    """Twelve hex digits that change when a name or a content does."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        for part in (name.encode(), inputs[name]):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def recipe_inputs(recipe: Recipe) -> dict[str, bytes]:
    folder = settings.RECIPES / recipe.folder
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    inputs = {f"file {path.relative_to(folder)}": path.read_bytes() for path in files}
    inputs["file common.sh"] = (settings.RECIPES / "common.sh").read_bytes()
    inputs.update({f"variable {name}": value.encode() for name, value in recipe.variables.items()})
    inputs["changes"] = "\n".join(recipe.changes).encode()
    if recipe.base is not None:
        inputs["base"] = recipe_hash(RECIPES[recipe.base]).encode()
    return inputs


def recipe_hash(recipe: Recipe) -> str:
    return fingerprint(recipe_inputs(recipe))


def reference(name: str) -> str:
    """The image as the engine knows it, by its inputs."""
    recipe = RECIPES[name]
    return f"{settings.IMAGE_PREFIX}/{recipe.repository}:{recipe.tag}-{recipe_hash(recipe)}"


def exists(image: str) -> bool:
    return succeeds(["docker", "image", "inspect", image])


def image_id(image: str) -> str:
    return capture(["docker", "image", "inspect", "--format", "{{.Id}}", image])


def expand(names: Iterable[str]) -> list[str]:
    """Names and group names to recipe names, each once."""
    found: list[str] = []
    for name in names:
        for recipe in GROUPS.get(name, (name,)):
            if recipe not in RECIPES or not RECIPES[recipe].importable:
                known = sorted([*GROUPS, *(n for n, r in RECIPES.items() if r.importable), "models", "real-models"])
                raise BedError(f"Unknown image '{name}'. Known: {', '.join(known)}.")
            if recipe not in found:
                found.append(recipe)
    return found


def ensure(names: Iterable[str]) -> None:
    """Build what is missing, side by side."""
    wanted = expand(names)
    with ThreadPoolExecutor(max_workers=len(RECIPES)) as pool:
        for future in [pool.submit(ensure_one, name) for name in wanted]:
            future.result()


def ensure_one(name: str) -> str:
    """Build this image if its inputs changed; return its reference. Safe to call from several threads and processes at once."""
    recipe, image = RECIPES[name], reference(name)
    if not exists(image):
        _check_means(name)
        with lock(name):
            if not exists(image):  # another process may have been building it
                _build(recipe)
    elif name not in _seen:
        say(f"images: {image} is there")
    _seen.add(name)
    if not exists(recipe.alias) or image_id(recipe.alias) != image_id(image):
        capture(["docker", "tag", image, recipe.alias])
    return image


_seen: set[str] = set()
"""What was said to be there in this run already."""


def _check_means(name: str) -> None:
    if not engine.is_root():
        command = f"sudo {sys.executable} {settings.HERE / 'bed.py'} up"
        raise BedError(f"The image '{name}' is not built yet, and building needs root (debootstrap, chroot). Run: {command}")
    if os.uname().machine != "x86_64":
        raise BedError(f"The pinned wheels of the images are for x86_64; this machine is {os.uname().machine}.")
    if shutil.which("debootstrap") is None:
        with lock("apt"):
            if shutil.which("debootstrap") is None:
                engine.install_packages(["debootstrap"])


@contextlib.contextmanager
def lock(name: str) -> Iterator[None]:
    """One builder per image, among the threads of this process and other checkouts on this machine."""
    folder = settings.STATE / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe) -> None:
    for left_over in settings.STATE.glob(f"build-{recipe.name}-*"):
        remove_tree(left_over)
    work = Path(tempfile.mkdtemp(prefix=f"build-{recipe.name}-", dir=settings.STATE))
    rootfs, lib = work / "rootfs", work / "lib"
    for folder in (rootfs, lib):
        folder.mkdir(mode=0o755)
    with ThreadPoolExecutor(max_workers=1) as pool:  # the base is built while the packages are fetched
        base = pool.submit(_base_rootfs, RECIPES[recipe.base]) if recipe.base else None
        if (settings.RECIPES / recipe.folder / "fetch.sh").exists():
            _script(recipe, "fetch.sh", rootfs=rootfs, lib=lib, base=None)
        _script(recipe, "build.sh", rootfs=rootfs, lib=lib, base=base.result() if base else None)
    _import(recipe, rootfs)
    remove_tree(work)


def _base_rootfs(recipe: Recipe) -> Path:
    finished = settings.STATE / "rootfs" / f"{recipe.name}-{recipe_hash(recipe)}"
    with lock(recipe.name):
        if not finished.is_dir():
            finished.parent.mkdir(parents=True, exist_ok=True)
            for old in finished.parent.iterdir():
                remove_tree(old)
            work = Path(tempfile.mkdtemp(prefix="partial-", dir=finished.parent))
            _script(recipe, "build.sh", rootfs=work, lib=None, base=None)
            work.rename(finished)
    return finished


def remove_tree(folder: Path) -> None:
    """Remove a build's folder; after an interruption debootstrap may have left /proc and /sys mounted in it."""
    for mounted in ("proc", "sys"):
        for place in [folder / mounted, folder / "rootfs" / mounted]:
            while place.is_mount():
                capture(["umount", str(place)])
    shutil.rmtree(folder)


def _script(recipe: Recipe, script: str, *, rootfs: Path, lib: Path | None, base: Path | None) -> None:
    folder = settings.RECIPES / recipe.folder
    step = f"{recipe.name} {script.partition('.')[0]}"
    rootfs.chmod(0o755)
    seconds = run(
        ["bash", str(folder / script)],
        step=step,
        environment={
            **recipe.variables,
            "HERE": str(folder),
            "ROOTFS": str(rootfs),
            "LIB": str(lib or ""),
            "BASE": str(base or ""),
            "PIP": pip_command(),
            "MIRROR": settings.MIRROR,
        },
    )
    say(f"images: {step} took {seconds:.0f} s")


def _import(recipe: Recipe, rootfs: Path) -> None:
    image = reference(recipe.name)
    arguments = ["docker", "import", "--change", f"LABEL {settings.LABEL}=1"]
    for change in recipe.changes:
        arguments += ["--change", change]
    seconds = run(
        [*arguments, "-", image],
        step=f"{recipe.name} import",
        stdin_from=["tar", "-C", str(rootfs), "--numeric-owner", "-cf", "-", "."],
    )
    stale = [old for old in _tags(recipe) if old not in (image, recipe.alias)]
    capture(["docker", "tag", image, recipe.alias])
    for old in stale:
        capture(["docker", "image", "rm", old], check=False)
    say(f"images: {image} imported in {seconds:.0f} s")


def _tags(recipe: Recipe) -> list[str]:
    """The tags that earlier builds of this recipe left."""
    lines = capture(["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{settings.IMAGE_PREFIX}/{recipe.repository}"])
    return [line for line in lines.splitlines() if line.rpartition(":")[2].startswith(recipe.tag)]


@functools.lru_cache(maxsize=1)
def pip_command() -> str:
    """A pip that works: this Python's, else one in a virtual environment made for it."""
    if succeeds([sys.executable, "-m", "pip", "--version"]):
        return f"{sys.executable} -m pip"
    venv = settings.STATE / "pip"
    with lock("pip"):
        if not (venv / "bin" / "pip").exists() and not succeeds([sys.executable, "-m", "venv", str(venv)]):
            shutil.rmtree(venv, ignore_errors=True)
            raise BedError("This Python has neither pip nor venv. Run: sudo apt-get install -y python3-venv")
    return f"{venv / 'bin' / 'python'} -m pip"
