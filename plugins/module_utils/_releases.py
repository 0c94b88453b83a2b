# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Releases: what an instance served with once it had proved itself, so that it can be had again without a registry or a hub.

A release is an instance folder and what was measured, without secrets: of secret variables it has the names, and who goes back to it gives
their values of today. It is sealed with a digest of itself, so one that was meddled with is no way back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import typing as t
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import parse_env
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
    ENV_FILE,
    LABEL,
    OWNER,
    SERVICE_FILE,
    Instance,
    Paths,
    read_json,
    write_atomically,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import CONTAINER_KEYS, LATER_KEYS, LAUNCHER_KEYS

KEPT = 10
#: Which release is meant, beside a number: the newest; the newest one of another configuration or image than that.
LATEST, PREVIOUS = "latest", "previous"

_SEAL = "seal"
_CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]*@")
#: No part of a release: what is replaced while a container runs.
_LIVE = ("live_files", "secret_live_files", "live_owner")

Release = dict[str, t.Any]


def _sealed(document: Mapping[str, t.Any]) -> str:
    text = json.dumps({key: value for key, value in document.items() if key != _SEAL}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(paths: Paths, instance: Instance) -> list[Path]:
    """Newest first."""
    return sorted(paths.releases(instance.kind, instance.name).glob("[0-9]*.json"), key=lambda file: file.name, reverse=True)


def _read(file: Path) -> Release | None:
    """Nothing where its seal is broken."""
    document = read_json(file)
    return document if document is not None and document.get(_SEAL) == _sealed(document) else None


def releases(paths: Paths, instance: Instance) -> list[Release]:
    """Of an instance, oldest first."""
    return [release for release in map(_read, reversed(_files(paths, instance))) if release is not None]


def newest(paths: Paths, instance: Instance) -> Release | None:
    """Without a look at the others, for runs that change nothing."""
    return next((release for release in map(_read, _files(paths, instance)) if release is not None), None)


def choose(known: Sequence[Release], which: str, instance: str) -> Release:
    """The release that is meant. Raises UnitsError where there is none."""
    if not known:
        raise UnitsError(f"{instance}: no release of it is recorded on this host")
    latest = known[-1]
    if which == LATEST:
        return latest
    if which == PREVIOUS:
        same = (latest["config_hash"], latest["image_id"])
        others = [release for release in known if (release["config_hash"], release["image_id"]) != same]
        if others:
            return others[-1]
        raise UnitsError(f"{instance}: release {latest['number']} is the only one that is recorded on this host")
    for release in known:
        if str(release["number"]) == which:
            return release
    numbers = ", ".join(str(release["number"]) for release in known)
    raise UnitsError(f"{instance}: release {which!r} is not recorded on this host; there are: {numbers}")


def content(texts: Mapping[str, str]) -> Release:
    """What a release has of the files in an instance folder: no secret, and no value with a password in it."""
    service = json.loads(texts[SERVICE_FILE])
    secret = set(service.get("secret_names") or ())
    variables = parse_env(texts.get(ENV_FILE, ""))
    secret |= {name for name, value in variables.items() if _CREDENTIALS.search(value)}
    return {
        "config_hash": service["config_hash"],
        "service": {key: service[key] for key in (*CONTAINER_KEYS, *LAUNCHER_KEYS, *LATER_KEYS) if key in service},
        "files": {name: texts[name] for name in service.get("files") or ()},
        "environment": {name: value for name, value in variables.items() if name not in secret},
        "secret_names": sorted(secret & set(variables)),
    }


def record(paths: Paths, instance: Instance, document: Mapping[str, t.Any]) -> Release:
    """Writes the next release, and removes those beyond the last ones."""
    folder = paths.releases(instance.kind, instance.name)
    numbers = [int(file.stem) for file in folder.glob("[0-9]*.json") if file.stem.isdigit()] if folder.exists() else []
    release: Release = {**document, "number": max(numbers, default=0) + 1}
    release[_SEAL] = _sealed(release)
    write_atomically(folder / f"{release['number']:04}.json", json.dumps(release, indent=1, sort_keys=True) + "\n", 0o600)
    for number in sorted(numbers)[: max(0, len(numbers) + 1 - KEPT)]:
        with contextlib.suppress(FileNotFoundError):
            (folder / f"{number:04}.json").unlink()
    return release


def parameters_of(release: Release, today: Mapping[str, t.Any], image: str) -> dict[str, t.Any]:
    """The release as an instance of module container_units, with the secrets of C(today), the same instance as the inventory has it."""
    service = release["service"]
    at_hand = {**(today.get("environment") or {}), **(today.get("secret_environment") or {})}
    missing = [name for name in release["secret_names"] if name not in at_hand]
    if missing:
        raise UnitsError(
            f"{service['kind']}/{service['name']}: release {release['number']} wants the secret variables {', '.join(missing)}, "
            "which the inventory does not give this service any more"
        )
    return {
        **{key: today.get(key) for key in _LIVE},
        **service,
        "image": image,
        "pull": "never" if image != service["image"] else "missing",
        "files": release["files"],
        "environment": release["environment"],
        "secret_environment": {name: at_hand[name] for name in release["secret_names"]},
        # No check: its image has read it before.
    }


def image_of(release: Release, docker: Docker) -> str:
    """By which name the release's image is had: its own while that still means the same, else its id, else its digest in a registry."""
    name, identity = str(release["service"]["image"]), str(release["image_id"])
    if docker.image_id(name) == identity:
        return name
    if docker.image_id(identity) == identity:
        return identity
    digests = release.get("image_digests") or [name]
    return str(digests[0])


def go_back(
    instances: Sequence[Mapping[str, t.Any]], wanted: Mapping[str, t.Any], paths: Paths, docker: Docker
) -> tuple[list[Mapping[str, t.Any]], dict[str, int]]:
    """The instances with the wanted releases in place of what the inventory says, and the numbers of these. Raises UnitsError with all
    that is wrong."""
    found: list[Mapping[str, t.Any]] = []
    numbers: dict[str, int] = {}
    errors = []
    for today in instances:
        instance = Instance(str(today["kind"]), str(today["name"]))
        if instance.instance not in wanted:
            found.append(today)
            continue
        try:
            release = choose(releases(paths, instance), str(wanted[instance.instance]), instance.instance)
            _check_members(release, today, instance.instance)
            found.append(parameters_of(release, today, image_of(release, docker)))
            numbers[instance.instance] = int(release["number"])
        except UnitsError as error:
            errors.append(str(error))
    there = {f"{one['kind']}/{one['name']}" for one in instances}
    errors += [f"{name}: there is no such instance" for name in wanted if name not in there]
    if errors:
        raise UnitsError("; ".join(errors))
    return found, numbers


def _check_members(release: Release, today: Mapping[str, t.Any], instance: str) -> None:
    """A release of an engine over several hosts is of these hosts at these addresses: with others no part would ever start."""
    then, now = (((one.get("group") or {}).get("members") or []) for one in (release["service"], today))
    if then != now:
        ran = ", ".join(f"{member['host']} ({member['address']})" for member in then) or "this host alone"
        raise UnitsError(f"{instance}: release {release['number']} ran on {ran}, which is not so any more")


# -- images


def keeper_name(instance: Instance) -> str:
    """A container that never starts: Docker removes no image that a container has."""
    return f"{instance.container}-keeps-release"


def keep_image(instance: Instance, identity: str | None, docker: Docker) -> None:
    """Has Docker keep the image of the release before, and no other. C(identity): none where that is the one that runs."""
    name = keeper_name(instance)
    ran = docker.image_of(name)
    if ran.rc == 0:
        if ran.out.strip() == identity:
            return
        docker.remove(name, timeout=120)
    if identity:
        labels = ["--label", f"{LABEL}owner={OWNER}", "--label", f"{LABEL}keeps-image-of={instance.instance}"]
        docker.call("create", "--name", name, "--network", "none", *labels, "--entrypoint", "true", identity, timeout=120)


def forget(paths: Paths, instance: Instance, docker: Docker) -> None:
    """With an instance that goes, its releases go."""
    folder = paths.releases(instance.kind, instance.name)
    if folder.exists():
        keep_image(instance, None, docker)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()
