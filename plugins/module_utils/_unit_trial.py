# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether a change can be had, found out while the old container serves: its image, its configuration, its model, Docker."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_trial as docker_trial
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, classify_log, or_else, redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran, Run
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE, LABEL, OWNER, SERVICE_FILE, Instance
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_changes import read_service
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_decision import HELD, REFUSED, RESTART, START
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_fetch import ModelServer, download, pull_into
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import Staged
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_images import not_pulled
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import with_remedy
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import Check, Wanted
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings, Work

_DOCKERS_WORDS = (
    "Docker's message says what it refuses. Correct that in the service (container_extra_arguments, networks, mounts, "
    "devices), or on the host."
)
CHECKS_AT_ONCE = 2  # each imports an engine: half a minute of a core, and a gigabyte


class Trial:
    """What is refused becomes REFUSED in the work, and its reason a failure of the report."""

    def __init__(self, settings: Settings, run: Run, server: Callable[[str], ModelServer]) -> None:
        self._settings = settings
        self._docker = Docker(settings.paths.docker, run)
        self._server = server

    def fetch_and_check(self, work: Work, risked: Sequence[Wanted]) -> None:
        """Before any file is written."""
        self._pull(risked, work)
        self._check(work)
        self._fetch(risked, work)

    def ask_docker(self, work: Work, risked: Sequence[Wanted], staged: Mapping[str, Sequence[Staged]]) -> None:
        """Has Docker make and start each changed container beside the one that it is to replace."""
        asked = [item for item in risked if work.actions[item.instance] != REFUSED]
        if not asked:
            return
        stopping: list[Instance] = [*risked, *work.leaving]
        held = frozenset(port for item in stopping for port in work.ports_of(item))

        def refusal(item: Wanted) -> str:
            folder = work.folders[item.instance].path
            new = {final.name: temporary for temporary, final in staged.get(item.instance, ())}
            spec = parse_spec(item.files[SERVICE_FILE], item.kind, item.name)
            return docker_trial.refusal(self._docker, spec, str(new.get(ENV_FILE, folder / ENV_FILE)), folder, held)

        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            reasons = list(pool.map(refusal, asked))
        for item, told in zip(asked, reasons):
            if not told:
                continue
            said = redact(told, item.secrets)
            found = classify_log(item.kind, [said])
            work.refuse(item, said)
            # Where no rule knows Docker's words, they are all there is.
            known = found.cause is not Cause.UNKNOWN
            subject = f"{item.instance}: {f'{found.cause}: ' if known else ''}Docker refuses the new configuration: {said}"
            found = found if known else replace(found, remedy=_DOCKERS_WORDS)
            work.report.failures.append(with_remedy(f"{subject}. {work.kept(item)}", found))

    def remove_leftovers(self, work: Work) -> None:
        """Trials of a run that was killed."""
        for container in work.containers.values():
            if container.owned and not container.instance and container.name.endswith(docker_trial.SUFFIX):
                self._docker.remove(container.name, timeout=120, volumes=True)

    def _pull(self, risked: Sequence[Wanted], work: Work) -> None:
        """Fetches a new image while the old container still serves. Where that fails, the old one stays."""
        waiting: dict[str, list[Wanted]] = {}
        for item in risked:
            waiting.setdefault(item.image, []).append(item)
        for image, items in waiting.items():
            if self._docker.image_id(image) is not None:
                continue
            if any(item.pull == "never" for item in items):
                problem = "it is not on this host, and pull is 'never'"
            else:
                problem = self._docker.pull(image, self._settings.pull_timeout)
                if not problem:
                    continue
            for item in items:
                work.refuse(item, f"image {image}: {problem}")
                work.report.failures.append(not_pulled(image, problem, item.instance, work.kept(item)))

    def _check(self, work: Work) -> None:
        """Has the image read a changed configuration before anything stops for it. What it refuses is left as it is."""
        asked = [item for item in work.wanted if self._wants_check(item, work)]
        if not asked:
            return
        with ThreadPoolExecutor(CHECKS_AT_ONCE) as pool:
            results = list(pool.map(self._run_check, asked))
        for item, ran in zip(asked, results):
            if ran.rc == 0:
                continue
            lines = [redact(line, item.secrets) for line in ran.lines]
            if ran.rc >= 124:  # not the program's own word: Docker's, the shell's, or a signal's
                work.report.warnings.append(
                    f"{item.instance}: its new configuration could not be checked with {item.image}: "
                    + redact(reason(ran.err or ran.out), item.secrets)
                )
                continue
            found = or_else(classify_log(item.kind, lines, exit_code=ran.rc), Cause.BAD_FLAG)
            work.refuse_for(found, f"{item.image} refuses the new configuration", item)

    def _fetch(self, risked: Sequence[Wanted], work: Work) -> None:
        """Fetches another model while the old one serves. What cannot be had leaves the old one."""
        for item in risked:
            if work.actions[item.instance] == REFUSED:
                continue
            old, new = read_service(work.folders[item.instance].texts), read_service(item.files)
            url = (old.get("probe") or {}).get("base_url")
            found = None
            if new["download_command"] and new["download_command"] != old.get("download_command"):
                found, _anything = download(item, self._docker)
            elif new["pull_models"] != old.get("pull_models") and url and work.serving(item) is not None:
                other_image = item.image != old.get("image")
                found = pull_into(item.kind, self._server(str(url).removesuffix("/v1")), new["pull_models"] or (), other_image)
            if found is not None:
                work.refuse_for(found, "its model cannot be fetched", item)

    def _wants_check(self, item: Wanted, work: Work) -> bool:
        if item.check is None or work.actions[item.instance] not in (START, RESTART, HELD):
            return False
        if self._settings.is_checked(item):
            return False
        serving = work.serving(item)
        if work.is_known(item) and (serving is None or serving.config_hash == item.config_hash):
            return False
        # Where the image is still to be pulled, the launcher will see: nothing serves that could be lost.
        return self._docker.image_id(item.image) is not None

    def _run_check(self, item: Wanted) -> Ran:
        check = t.cast(Check, item.check)
        name = f"{item.container}-check"
        # Left behind where a run was killed.
        self._docker.remove(name)
        argv = ["run", "--rm", "--interactive", "--name", name, "--pull", "never", "--network", "none"]
        argv += ["--label", f"{LABEL}owner={OWNER}", "--security-opt", "no-new-privileges", *check.arguments, item.image, *check.command]
        ran = self._docker.feed(check.text, *argv, timeout=self._settings.check_timeout)
        if ran.rc == 124:
            self._docker.remove(name)
        return ran
