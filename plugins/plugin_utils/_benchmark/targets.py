# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a benchmark measures on which host, and by which program, out of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...module_utils._engine_signs import Signs, signs_of
from .._engines.base import Asked, Engine
from .._engines.load_generator import Load, LoadGenerator
from .._engines.registry import ENGINES
from .._gateway.urls import network_url
from .._plan.findings import hint
from .options import GATEWAY, INPUT_TOKENS, Options, problem, read_options

GENERATORS = {name: engine.load_generator for name, engine in ENGINES.items() if engine.load_generator is not None}
CAPABILITIES = frozenset(capability for generator in GENERATORS.values() for capability in generator.capabilities)
#: Tokens that a model's own template adds to a prompt, as far as is left for them.
_TEMPLATE = 64
ByHost = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Served:
    """A model that an engine of ours answers for."""

    host: str
    service: str
    model: str
    engine: Engine
    instance: Mapping[str, Any]
    asked: Asked

    @property
    def unit(self) -> str:
        return f"{self.engine.name}@{self.instance['name']}"

    @property
    def url(self) -> str:
        """As a container on its network reaches it."""
        on_host = "group" in self.instance
        return (
            f"http://127.0.0.1:{self.instance['port']}"
            if on_host
            else f"http://{self.engine.name}-{self.instance['name']}:{self.asked.port}"
        )

    @property
    def watched(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.instance['port']}{self.signs.counters}"
        return {"url": url, "gauges": list(self.signs.busy)}

    @property
    def signs(self) -> Signs:
        """How it tells of requests that it has."""
        return signs_of(self.engine.name)


def served(plan: Mapping[str, Any]) -> list[Served]:
    found = []
    for row in plan["table"]:
        if row.get("rank"):
            continue  # of an engine over several hosts the first answers
        engine = ENGINES[row["engine"]]
        instances = plan["hosts"][row["host"]][row["engine"]]
        instance = next((one for one in instances if one["port"] == row["port"]), None)
        if instance is not None:
            found.append(Served(row["host"], row["service"], row["model"], engine, instance, engine.asked(instance, row["model"])))
    return found


def choose(plan: Mapping[str, Any], given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """C(targets): by host, what module benchmark is given there, one after another. C(looks): by host, the servers behind a gateway that
    must be idle. C(problems): all that is wrong, for people. C(left_out): where no service was named, those that cannot be measured."""
    options, problems = read_options(given)
    there = [one for one in served(plan) if one.asked.capability in CAPABILITIES]
    wanted = _wanted(plan, there, options, problems)
    unfit = {(one.host, one.service): reason for one in wanted for reason in [_unfit(plan, one, options)] if reason}
    told = [problem(f"{service} on {host}", None, reason) for (host, service), reason in unfit.items()]
    measured = [one for one in wanted if (one.host, one.service) not in unfit]
    through = _through_gateway if options.through == GATEWAY else _at_engines
    targets, looks = through(plan, measured, options, seed, problems) if not problems else ({}, {})
    if options.service or (told and not measured):
        problems += told
        told = []
    return {"targets": targets, "looks": looks, "problems": problems, "left_out": told, "under_load": options.under_load}


def _wanted(plan: Mapping[str, Any], there: Sequence[Served], options: Options, problems: list[str]) -> list[Served]:
    if not options.service:
        if not there:
            problems.append(problem("inference_services", None, f"no service of {' or '.join(sorted(CAPABILITIES))} is declared"))
        return list(there)
    wanted = [one for one in there if options.service in (one.model, one.service)]
    if not wanted:
        known = sorted({name for one in there for name in (one.model, one.service)})
        if any(options.service in (row["model"], row["service"]) for row in plan["table"]):
            message = f"only {' and '.join(sorted(CAPABILITIES))} can be measured"
        else:
            message = f"no such model or service; there are {', '.join(known) or 'none'}.{hint(options.service, known)}"
        problems.append(problem("service", options.service, message))
    return wanted


def lengths(asked: Asked, options: Options) -> tuple[int, int]:
    """Tokens of a prompt and of its answer. Where the user has not given the first it is what the model takes, as far as that is less."""
    output = options.output_tokens if asked.capability == "chat" else 0
    if options.input_tokens is not None:
        return options.input_tokens, output
    room = INPUT_TOKENS if asked.context is None else asked.context - output - _TEMPLATE
    return max(1, min(INPUT_TOKENS, room)), output


def _unfit(plan: Mapping[str, Any], one: Served, options: Options) -> str:
    """Why a service is not measured; empty where nothing is in the way."""
    wanted = sum(lengths(one.asked, options)) + _TEMPLATE
    if one.asked.context is not None and wanted > one.asked.context:
        return (
            f"it takes {one.asked.context} tokens, and {wanted} are asked for, {_TEMPLATE} of them for its template; "
            f"lower benchmark_input_tokens or benchmark_output_tokens"
        )
    if not one.signs.busy and not options.under_load:
        return f"{one.engine.title} does not tell whether others use it; -e benchmark_under_load=true measures it all the same"
    if options.through != GATEWAY and _tool(plan, one.host, options) is None:
        titles = " or ".join(ENGINES[name].title for name in GENERATORS)
        return (
            f"the host has no image with a load generator, such as that of {titles}; name one in benchmark_image, or measure it with "
            f"-e through={GATEWAY}"
        )
    return ""


def _at_engines(
    plan: Mapping[str, Any], wanted: Sequence[Served], options: Options, seed: int, _problems: list[str]
) -> tuple[ByHost, ByHost]:
    targets: ByHost = {}
    for one in wanted:
        tool = _tool(plan, one.host, options)
        if tool is not None:  # of the others _unfit has told
            target = _target(one, options, *tool, seed, one.url, one.asked.upstream)
            targets.setdefault(one.host, []).append({**target, "watch": [one.watched], "behind": _units([one])})
    return targets, {}


def _through_gateway(
    plan: Mapping[str, Any], wanted: Sequence[Served], options: Options, seed: int, problems: list[str]
) -> tuple[ByHost, ByHost]:
    targets: ByHost = {}
    looks: ByHost = {}
    place = _place_for_gateway(plan, options, problems)
    for model in dict.fromkeys(one.model for one in wanted):
        behind = [one for one in wanted if one.model == model]
        for one in behind:
            looks.setdefault(one.host, []).append({"name": one.service, "model": model, "watch": [one.watched]})
        if place is not None:
            host, generator, image, network, url = place
            target = _target(behind[0], options, generator, image, seed, url, model)
            changes = {"unit": f"{GATEWAY}@{model}", "name": model, "engine": GATEWAY, "network": network}
            here = [one.watched for one in behind if one.host == host]
            targets.setdefault(host, []).append({**target, **changes, "watch": here, "behind": _units(behind)})
    return targets, looks


def _units(behind: Iterable[Served]) -> list[list[str]]:
    return [[one.host, one.unit] for one in behind]


def _tool(plan: Mapping[str, Any], host: str, options: Options) -> tuple[LoadGenerator, str] | None:
    """Of an engine of the host, with its image; where the user names one it is taken for the first that there is."""
    if options.image:
        return next(iter(GENERATORS.values())), options.image
    for name, generator in GENERATORS.items():
        for instance in plan["hosts"][host][name]:
            return generator, str(instance["image"])
    return None


def _place_for_gateway(plan: Mapping[str, Any], options: Options, problems: list[str]) -> tuple[str, LoadGenerator, str, str, str] | None:
    """Host, program, image, network and address: beside the gateway where the program is there, else from a node."""
    gateway = plan.get("gateway")
    if gateway is None:
        problems.append(problem("through", GATEWAY, "no host is in the group gateways"))
        return None
    for host in dict.fromkeys([*gateway["hosts"], *(row["host"] for row in plan["table"])]):
        tool = _tool(plan, host, options)
        url = network_url(gateway, host)
        if tool is not None and url:
            return host, *tool, str(gateway["networks"][0]), url
        if tool is not None:
            return host, *tool, str(plan["hosts"][host]["networks"][0]["name"]), str(gateway["url"])
    problems.append(problem("through", GATEWAY, "no host has an image with a load generator; name one in benchmark_image"))
    return None


def _target(one: Served, options: Options, generator: LoadGenerator, image: str, seed: int, url: str, model: str) -> dict[str, Any]:
    through_gateway = options.through == GATEWAY
    input_tokens, output_tokens = lengths(one.asked, options)
    steps = []
    for number, concurrency in enumerate(options.concurrency):
        load = Load(
            capability=one.asked.capability,
            model=model,
            base_url=url,
            concurrency=concurrency,
            requests=options.requests_of(concurrency),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            seed=seed + number,
            counts_tokens=one.engine.counts_tokens and not through_gateway,
        )
        steps.append({"concurrency": concurrency, "requests": load.requests, "command": generator.arguments(load)})
    return {
        "unit": one.unit,
        "name": one.service,
        "model": one.model,
        "engine": one.engine.name,
        "capability": one.asked.capability,
        "through": options.through,
        "image": image,
        "pull": "missing" if options.image else "never",
        "generator": next(name for name, known in GENERATORS.items() if known is generator),
        "tool": generator.title,
        "entrypoint": generator.entrypoint,
        "key_variable": generator.key_variable,
        "environment": dict(generator.environment),
        "figures": dict(generator.figures),
        "network": one.instance["networks"][0],
        "steps": steps,
        "timeout": options.timeout,
        "under_load": options.under_load,
        "lengths": {"input_tokens": input_tokens, "output_tokens": output_tokens},
    }
