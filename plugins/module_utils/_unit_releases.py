# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""From an engine that is ready to a release: measured before it is replaced, proved after it, and recorded."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import typing as t
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _metrics as metrics
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _proved as proved
from ansible_collections.llmops.gpu_inference.plugins.module_utils import _releases as releases
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import redact
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, reason
from ansible_collections.llmops.gpu_inference.plugins.module_utils._engine_endpoint import endpoint_of
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Run, run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._instance_spec import SpecError, parse_env, parse_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import (
    ENV_FILE,
    SERVICE_FILE,
    Instance,
    Paths,
    read_json,
    write_atomically,
)
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probation import Probation
from ansible_collections.llmops.gpu_inference.plugins.module_utils._proof import columns, judge
from ansible_collections.llmops.gpu_inference.plugins.module_utils._proof_interview import Bounds, Measured, measure
from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import Systemd
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_folder import read_folder
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_status import ready_after

#: Of the collection, for the record.
VERSION = "0.9.0"
#: Of a proof: whole, or in two parts with clients sent there in between.
ALL, FIRST, LAST = "all", "first", "last"
AT_ONCE = 4  # engines that are asked side by side

_MODEL_LINE = re.compile(r"^(?:model|revision): *(.+?) *$", re.MULTILINE)
_CONTEXT_LINE = re.compile(r"^max-model-len: *(\d+) *$", re.MULTILINE)


@dataclass(frozen=True)
class Proof:
    """How a change is proved. C(own): the user's prompts by model."""

    bounds: Bounds = field(default_factory=Bounds)
    own: Mapping[str, Sequence[Mapping[str, t.Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, t.Any]) -> Proof:
        """From the option of a module."""
        given = {name: value for name, value in options.items() if name in Bounds.__dataclass_fields__ and value is not None}
        audio = options.get("audio") or {}
        own = {
            model: [{**one, "content": audio.get(str(one["audio"]))} if one.get("audio") else one for one in entries]
            for model, entries in (options.get("answers") or {}).items()
        }
        return cls(Bounds(**given), own)


@dataclass(frozen=True)
class Verdict:
    """What became of one instance. Without problems it has a release."""

    instance: str
    release: int | None
    problems: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def before_file(paths: Paths, instance: Instance) -> Path:
    return paths.releases(instance.kind, instance.name) / "before.json"


def after_file(paths: Paths, instance: Instance) -> Path:
    return paths.releases(instance.kind, instance.name) / "after.json"


def model_of(service: Mapping[str, t.Any], files: Mapping[str, str]) -> tuple[str, ...]:
    """What an instance serves, as far as two configurations can be compared by it: names of models in its files and arguments."""
    found = [match for text in files.values() for match in _MODEL_LINE.findall(text)]
    words = [str(word) for word in service.get("command") or ()]
    named = ("--model", "-m", "--hf-repo", "-hf", "--hf-file", "-hff", "--model-url", "-mu", "--model-path")
    found += [word for flag, word in zip(words, words[1:]) if flag in named]
    return (*found, *map(str, service.get("pull_models") or ()))


class Prover:
    def __init__(
        self,
        paths: Paths,
        proof: Proof,
        run: Run = run_command,
        ask: Callable[..., Measured] = measure,
        clock: Callable[[], float] = time.time,
        probation: Callable[..., Probation] = Probation,
        stops: bool = False,
    ) -> None:
        self._stops = stops
        self._probation = probation
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._paths = paths
        self._proof = proof
        self._run = run
        self._docker = Docker(paths.docker, run)
        self._ask = ask
        self._clock = clock

    def measure_before(self, instances: Sequence[Instance]) -> None:
        """Of those that are about to be replaced what they answer now, which their successors are held against. One that has not been
        proved is no measure."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._measure_before, instances))

    def _measure_before(self, instance: Instance) -> None:
        texts = read_folder(self._paths.folder(instance.kind, instance.name)).texts
        state = read_json(self._paths.state(instance.kind, instance.name)) or {}
        # Without its numbers those of its release are the measure.
        with contextlib.suppress(SpecError, KeyError, ValueError, OSError, UnitsError):
            content = releases.content(texts)
            if state.get("phase") != "ready" or state.get("config_hash") != content["config_hash"]:
                return
            newest = releases.newest(self._paths, instance)
            if newest is None:  # it serves since before there were releases
                newest = self._record(instance, content, None, None)
            seen = self._measured(instance, texts) if newest["config_hash"] == content["config_hash"] else None
            if seen is not None:
                document = {"config_hash": content["config_hash"], "at": self._clock(), "measured": seen}
                write_atomically(before_file(self._paths, instance), json.dumps(document) + "\n", 0o600)

    def _own(self, texts: Mapping[str, str]) -> Sequence[Mapping[str, t.Any]]:
        probe = json.loads(texts[SERVICE_FILE]).get("probe") or {}
        return self._proof.own.get(str(probe.get("model"))) or ()

    def _measured(self, instance: Instance, texts: Mapping[str, str]) -> Measured | None:
        spec = parse_spec(texts[SERVICE_FILE], instance.kind, instance.name)
        endpoint = endpoint_of(spec, parse_env(texts.get(ENV_FILE, "")))
        return None if endpoint is None else self._ask(endpoint, self._own(texts), self._proof.bounds)

    def prove(
        self, instances: Sequence[Instance], went_back: Mapping[str, int] | None = None, probation: float = 0.0, stage: str = ALL
    ) -> list[Verdict]:
        """Proves those that are ready, and records what holds.

        C(went_back): the releases that were gone back to, by instance. C(probation): seconds for which one that replaced another has to
        last. C(stage): FIRST ends with the comparison, and LAST goes on from there.
        """
        # All at once: each of them waits for its probation.
        with ThreadPoolExecutor(max(1, len(instances))) as pool:
            return list(pool.map(lambda one: self._prove(one, (went_back or {}).get(one.instance), probation, stage), instances))

    def _prove(self, instance: Instance, went_back: int | None, probation: float, stage: str) -> Verdict:
        texts = read_folder(self._paths.folder(instance.kind, instance.name)).texts
        secrets = _secrets(texts)
        try:
            content = releases.content(texts)
            before, old = self._before(instance, went_back)
            after = self._kept(instance, content) if stage == LAST else None
            if after is None and (before is not None or self._own(texts)):
                with self._turns:
                    after = self._measured(instance, texts)
            problems = [] if after is None else self._problems(before, after, old, content, texts)
            if not problems:
                problems = self._still_the_same(instance, content["config_hash"])
            if stage == FIRST and not problems:
                self._keep(instance, content, after)
                return Verdict(instance.instance, None, (), tuple(columns(before, after)) if after is not None else ())
            if not problems and probation and old is not None:
                problems = self._on_probation(instance, content, probation)
            shown = tuple(columns(before, after)) if after is not None else ()
            if problems:
                if self._stops and old is not None:
                    self._stop(instance, content)
                told = tuple(redact(text, secrets) for text in problems)
                return Verdict(instance.instance, None, told, tuple(redact(line, secrets) for line in shown))
            release = self._record(instance, content, after, went_back)
        except (SpecError, KeyError, ValueError) as error:
            return Verdict(instance.instance, None, (f"its folder cannot be read: {error}",))
        except UnitsError as error:
            return Verdict(instance.instance, None, (str(error),))
        proved.forget(self._paths, instance)
        for file in (before_file(self._paths, instance), after_file(self._paths, instance)):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
        return Verdict(instance.instance, int(release["number"]), (), shown)

    def _before(self, instance: Instance, went_back: int | None) -> tuple[Measured | None, releases.Release | None]:
        """What the newest release, or the one that was gone back to, answered just before it was replaced, or when it was proved."""
        known = releases.releases(self._paths, instance)
        meant = [release for release in known if went_back in (None, release["number"])]
        if not meant:
            return None, None
        seen = read_json(before_file(self._paths, instance)) or {}
        if seen.get("config_hash") == meant[-1]["config_hash"]:
            return seen["measured"], meant[-1]
        return meant[-1].get("proof"), meant[-1]

    def _problems(
        self,
        before: Measured | None,
        after: Measured,
        old: releases.Release | None,
        new: Mapping[str, t.Any],
        texts: Mapping[str, str],
    ) -> list[str]:
        same = old is not None and model_of(old["service"], old["files"]) == model_of(new["service"], new["files"])
        declared = any(int(length) == after.get("context") for text in new["files"].values() for length in _CONTEXT_LINE.findall(text))
        found = judge(before, after, self._proof.bounds, own=self._own(texts), same_model=same, context_declared=declared)
        return [problem.text for problem in found]

    def _still_the_same(self, instance: Instance, config_hash: str) -> list[str]:
        state = read_json(self._paths.state(instance.kind, instance.name)) or {}
        if state.get("phase") == "ready" and state.get("config_hash") == config_hash:
            return []
        said = f": {state['cause']}: {state.get('message')}" if state.get("cause") else ""
        return [f"it is {state.get('phase') or 'gone'} after it was asked, and not ready any more{said}"]

    def _stop(self, instance: Instance, content: Mapping[str, t.Any]) -> None:
        """So that no client gets another answer of it. Where that fails, whoever goes back says so."""
        seconds = float(content["service"].get("stop_timeout") or 0)
        Systemd(self._run).call("stop", "--", instance.unit, seconds=seconds + 180)

    def _keep(self, instance: Instance, content: Mapping[str, t.Any], after: Measured | None) -> None:
        """For the last stage: with clients there, it is slower."""
        document = {"config_hash": content["config_hash"], "measured": after}
        write_atomically(after_file(self._paths, instance), json.dumps(document) + "\n", 0o600)

    def _kept(self, instance: Instance, content: Mapping[str, t.Any]) -> Measured | None:
        seen = read_json(after_file(self._paths, instance)) or {}
        return seen.get("measured") if seen.get("config_hash") == content["config_hash"] else None

    def _on_probation(self, instance: Instance, content: Mapping[str, t.Any], seconds: float) -> list[str]:
        base_url = (content["service"].get("probe") or {}).get("base_url")
        if not base_url:
            return []
        file = self._paths.state(instance.kind, instance.name)
        trouble = self._probation(str(base_url), lambda: read_json(file) or {}, seconds).watch()
        return [trouble] if trouble else []

    def _record(self, instance: Instance, content: Mapping[str, t.Any], after: Measured | None, went_back: int | None) -> releases.Release:
        ran = self._docker.image_of(instance.container)
        identity = ran.out.strip()
        if ran.rc != 0 or not identity:
            raise UnitsError(f"Docker does not tell the image of {instance.container}: {reason(ran.err)}")
        newest = releases.newest(self._paths, instance)
        if newest is not None and (newest["config_hash"], newest["image_id"]) == (content["config_hash"], identity):
            return newest  # taken back to what it was
        release = releases.record(
            self._paths,
            instance,
            {
                **content,
                "instance": instance.instance,
                "recorded_at": round(self._clock(), 3),
                "version": VERSION,
                "image_id": identity,
                "image_digests": self._docker.image_digests(identity),
                "driver": _driver(),
                **self._seen_of(instance),
                "proof": after,
                "went_back_to": went_back,
            },
        )
        before = [one for one in releases.releases(self._paths, instance)[:-1] if one["image_id"] != identity]
        releases.keep_image(instance, before[-1]["image_id"] if before else None, self._docker)
        return release

    def _seen_of(self, instance: Instance) -> dict[str, t.Any]:
        """Seconds until it was ready, and the memory that it holds in MiB."""
        state = read_json(self._paths.state(instance.kind, instance.name)) or {}
        unit = metrics.Unit(instance.kind, instance.name, {}, state)
        memory, gpu = metrics.main_memory_of(unit, "/"), metrics.gpu_memory_of([unit], self._run, "/").get(instance.container)
        return {
            "ready_after": ready_after(state),
            "memory_mib": None if memory is None else memory // metrics.MIB,
            "gpu_memory_mib": None if gpu is None else gpu // metrics.MIB,
            "launcher_program": state.get("program_hash"),
        }


def _secrets(texts: Mapping[str, str]) -> tuple[str, ...]:
    with contextlib.suppress(KeyError, ValueError):
        names = set(json.loads(texts[SERVICE_FILE]).get("secret_names") or ())
        return tuple(value for name, value in parse_env(texts.get(ENV_FILE, "")).items() if name in names and len(value) >= 4)
    return ()


def _driver(file: str = "/proc/driver/nvidia/version") -> str | None:
    """NVIDIA's driver, none where there is none."""
    try:
        found = re.search(r"\b(\d+\.\d+(?:\.\d+)?)\b", Path(file).read_text(encoding="ascii", errors="replace").replace("NVRM version", ""))
    except OSError:
        return None
    return found[1] if found else None
