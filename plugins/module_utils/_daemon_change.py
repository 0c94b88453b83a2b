# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It runs on managed nodes, so it uses the standard library only and runs on Python 3.9.

"""A change of what the Docker daemon reads: written, tried, and taken back when Docker does not come up with it."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _daemon_config
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_service import UNIT, DockerService, NoAnswerError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._files import FileChanges, UnusableFileError

Action = _daemon_config.Action
_MORE = f"See journalctl --unit {UNIT}."


class ChangeFailedError(Exception):
    """Docker does not take the change; the message says why, and how things stand now."""


@dataclass(frozen=True)
class NewFile:
    """`content` None: the file goes."""

    path: str
    content: bytes | None
    mode: int = 0o644


@dataclass(frozen=True)
class Change:
    """`daemon_json` is the path behind links, `before` and `document` what is in it before and afterwards."""

    files: tuple[NewFile, ...]
    action: Action
    daemon_json: str
    before: Mapping[str, t.Any]
    document: Mapping[str, t.Any]
    units_changed: bool = False


def needed_action(wanted: Action, *, runs: bool, units_changed: bool, interrupted: bool) -> Action:
    """A daemon that does not run is started. What a killed run has left must be tried, whether this run changes something or not."""
    return "restart" if not runs or units_changed or interrupted else wanted


def carry_out(change: Change, service: DockerService, files: FileChanges) -> None:
    """Write the files and let Docker take them over, or put everything back."""
    try:
        info = service.info()
    except NoAnswerError:
        info = {}
    runs, interrupted = bool(info.get("ServerVersion")), files.interrupted
    action = needed_action(change.action, runs=runs, units_changed=change.units_changed, interrupted=interrupted)
    try:
        for file in change.files:
            files.write(file.path, file.content, file.mode)
    except UnusableFileError as error:
        left = files.take_back()
        raise ChangeFailedError(" ".join([str(error), *(left or ["Nothing was changed."])])) from None
    if change.units_changed or interrupted:
        service.reload_units()
    survives = runs and action == "restart" and bool(change.document.get("live-restore")) and not info.get("LiveRestoreEnabled")
    reason, restarted = _take_over(action, change, service, survives)
    if not reason:
        files.keep()
        return
    if not files.interrupted:
        raise ChangeFailedError(f"Docker does not start: {reason}. This run has changed nothing that it reads. {_MORE}")
    names = " and ".join(file.path for file in change.files) or "what an interrupted run has left"
    said = f"Docker {'did not start with' if restarted else 'did not take over'} {names}: {reason}."
    raise ChangeFailedError(f"{said} {_go_back(change, service, files, ran_before=runs, restarted=restarted, survives=survives)}")


def _take_over(action: Action, change: Change, service: DockerService, survives: bool) -> tuple[str, bool]:
    """What Docker has against the change, and whether it was stopped for it."""
    if action == "none":
        return "", False
    if action == "reload":
        return service.reload(lambda info: not _daemon_config.not_applied(change.document, info)), False
    if survives:
        # With live-restore in force before the daemon stops, running containers survive the restart.
        reason = service.reload(lambda info: bool(info.get("LiveRestoreEnabled")))
        if reason:
            return reason, False
    return service.restart(), True


def _go_back(change: Change, service: DockerService, files: FileChanges, *, ran_before: bool, restarted: bool, survives: bool) -> str:
    """Put the files back and let Docker take those over; returns how things stand now."""
    left = files.take_back()
    if left:
        return f"The old files could not be put back: {' '.join(left)}"
    service.reload_units()
    if not restarted:
        service.reload(lambda _info: True)
        return "The old configuration was put back, and Docker goes on with it. Correct what was wanted and run again."
    reason = _start_with_old_files(change, service, files) if survives else service.restart()
    if not reason:
        return "The old configuration was put back, and Docker runs with it again. Correct what was wanted and run again."
    before = "" if ran_before else " It did not run before this run either."
    return f"The old configuration was put back, but Docker does not start with it either: {reason}.{before} {_MORE}"


def _start_with_old_files(change: Change, service: DockerService, files: FileChanges) -> str:
    """A daemon that starts without live-restore ends the containers that it finds running. So it starts with it, and is told otherwise."""
    bridge = _daemon_config.render({**change.before, "live-restore": True})
    try:
        files.write(change.daemon_json, bridge.encode("utf-8"))
    except UnusableFileError:
        return service.restart()
    reason = service.restart()
    files.take_back()
    if reason:
        return service.restart()
    service.reload(lambda _info: True)
    return ""
