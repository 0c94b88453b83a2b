# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The end of a run as a person reads it: what answers where, what was done, and what comes next, without any key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import Any

from ...module_utils._duration import duration
from .._gateway.urls import gateway_url, server_url
from .ask import curl_line, models_line
from .columns import aligned, cut, some
from .run import FAILED, LEFT_OUT, Run, Touched

MOST_LINES = 40
_MOST_GATEWAYS = 4
_LONGEST_REASON = 120
_DONE: Mapping[str, tuple[str, str]] = {
    "start": ("started", "would start"),
    "restart": ("restarted", "would restart"),
    "reload": ("reloaded the launcher of", "would reload the launcher of"),
    "replace": ("updated", "would update"),
    "remove": ("removed", "would remove"),
    "refused": ("refused", "would refuse"),
    "held": ("left for the next run", "would leave for the next run"),
}
_NEXT: Sequence[tuple[str, str]] = (
    ("status", "state, port, memory and last failure of each service"),
    ("verify", "every model by every name, with a report"),
    ("stop", "stop all, or one service with -e only_service=NAME"),
    ("start", "start what is stopped"),
)


def _gateways(plan: Mapping[str, Any]) -> dict[str, str]:
    """By host, where its gateway answers."""
    gateway = plan["gateway"]
    return {
        host: gateway_url(gateway["bind"], gateway["port"], plan["hosts"][host]["address"], tls="tls" in gateway)
        for host in gateway["hosts"]
    }


def _hosts(names: Sequence[str], run: Run, served: frozenset[str]) -> str:
    """Who serves, and of the others why not."""
    found: dict[str, list[str]] = {"": [], FAILED: [], LEFT_OUT: []}
    for name in names:
        found[run.trouble(name, served)].append(name)
    return "; ".join(f"{trouble}{': ' if trouble else ''}{some(hosts, 4)}" for trouble, hosts in found.items() if hosts)


def _told(unit: Touched, check_mode: bool) -> str:
    after = "" if unit.ready_after is None else f", ready after {duration(unit.ready_after)}"
    reason = f" ({shorten(unit.reason, _LONGEST_REASON, placeholder=' ...')})" if unit.reason else ""
    return f"  {_DONE.get(unit.action, (unit.action, unit.action))[check_mode]} {unit.instance} on {unit.host}{after}{reason}"


def _done(run: Run) -> list[str]:
    """What became of the units, the worst first."""
    units = f"{run.kept} unit{'' if run.kept == 1 else 's'}"
    order = ("refused", "held", "restart", "start")
    touched = sorted(run.touched, key=lambda unit: order.index(unit.action) if unit.action in order else len(order))
    if not touched and not run.kept:
        return ["No unit was in this run."]
    if not touched:
        words = "would be started, restarted or removed" if run.check_mode else "was started, restarted or removed"
        return [f"No unit {words}: {units} kept as {'it is' if run.kept == 1 else 'they are'}."]
    kept = [f"  {'would keep' if run.check_mode else 'kept'} {units}"] if run.kept else []
    return ["This run" if not run.check_mode else "A run without --check", *kept, *(_told(unit, run.check_mode) for unit in touched)]


class _Summary:
    def __init__(self, plan: Mapping[str, Any], run: Run, files: Mapping[str, str]) -> None:
        self.plan = plan
        self.run = run
        self.files = files

    def head(self) -> list[str]:
        gateway = self.plan["gateway"]
        failed = some(sorted(self.run.failed), 8)
        trouble = [f"FAILED   {failed}: the reason is above, and nothing on it counts as serving below"] if failed else []
        if gateway is None:
            return [*trouble, "There is no gateway (no host is in the group gateways): engines answer on their own hosts."]
        urls = _gateways(self.plan)
        public = [] if gateway["url"] in urls.values() else [f"{gateway['url'].rstrip('/')}/v1"]
        own = []
        for host, url in urls.items():
            why_not = self.run.trouble(host, self.run.gateways)
            own.append(f"{url}/v1 on {host}{f' ({why_not})' if why_not else ''}")
        lines = cut([*public, *own], _MOST_GATEWAYS)
        titles = ["Gateway", *[""] * (len(lines) - 1)]
        return [*trouble, *(f"{title:<9}{line.strip()}" for title, line in zip(titles, lines)), f"{'Key':<9}{self.key()[1]}"]

    def key(self) -> tuple[str, str]:
        """The file of the key that clients use, empty where the key is a variable of the user's; and this in words."""
        clients = list(self.plan["gateway"]["client_names"])
        name = f"client_keys/{clients[0]}" if clients else "master_key"
        variable = f"inference_gateway.client_keys.{clients[0]}" if clients else "inference_master_key"
        also = f"; other clients: {some(clients[1:], 4)}" if clients[1:] else ""
        file = self.files.get(name, "")
        return file, (file or f"your own variable {variable}") + also

    def _answering(self) -> list[Mapping[str, Any]]:
        """Of an engine over several hosts the first one."""
        return [row for row in self.plan["table"] if not row.get("rank")]

    def models(self) -> list[str]:
        gateway = self.plan["gateway"]
        title = "WOULD BE SERVED BY" if self.run.check_mode else "SERVED BY"
        if gateway is None:
            places: dict[str, list[str]] = {}
            for row in self._answering():
                places.setdefault(str(row["service"]), []).append(str(row["host"]))
            return aligned(("SERVICE", title), [(name, _hosts(hosts, self.run, self.run.engines)) for name, hosts in places.items()])
        rows = []
        for model in gateway["models"]:
            hosts = list(dict.fromkeys(str(one["host"]) for one in model["backends"] if one["host"]))
            others = [f"{one['external']} (external)" for one in model["backends"] if not one["host"]]
            served = "; ".join(filter(None, [_hosts(hosts, self.run, self.run.engines), some(others, 3)]))
            rows.append((str(model["name"]), some(list(model["aliases"]), 4) or "-", served))
        return aligned(("MODEL", "ALSO CALLED", title), rows) if rows else ["No model is served."]

    def curl(self) -> list[str]:
        gateway = self.plan["gateway"]
        if self.run.check_mode:
            return []  # what it asks may not be there yet
        if gateway is None:
            rows = [row for row in self._answering() if not self.run.trouble(str(row["host"]), self.run.engines)]
            if not rows:
                return []
            host = str(rows[0]["host"])
            key = self.files.get(f"engine_keys/{host}") or f"the variable inference_engine_key of {host}"
            return [f"On {host}, with the key that the controller has in {key}:", models_line(server_url("127.0.0.1", rows[0]["port"]))]
        urls = [url for host, url in _gateways(self.plan).items() if not self.run.trouble(host, self.run.gateways)]
        serving = [
            model
            for model in gateway["models"]
            if any(not one["host"] or not self.run.trouble(str(one["host"]), self.run.engines) for one in model["backends"])
        ]
        chat = [model for model in serving if model["capability"] == "chat"] or serving
        if not urls or not chat:
            return []
        url = urls[0] if gateway["url"] in _gateways(self.plan).values() else gateway["url"]
        ca = self.files.get("gateway_ca", "")
        return [curl_line(url, str(chat[0]["name"]), str(chat[0]["capability"]), self.key()[0], ca)]


def summary(plan: Mapping[str, Any], run: Run, files: Mapping[str, str], command: Callable[[str], str]) -> list[str]:
    """At most 40 lines.

    C(files): where the generated keys are, by their names; C(gateway_ca) is the authority of its certificate.
    C(command): of a playbook's name, what starts it.
    """
    parts = _Summary(plan, run, files)
    head, curl, (title, *models), (first, *done) = parts.head(), parts.curl(), parts.models(), _done(run)
    following = aligned(("Next", ""), [(f"  {command(name)}", text) for name, text in _NEXT])
    fixed = [head, curl, following, [title], [first]]
    blanks = sum(1 for part in (curl, models, following, [first]) if part)
    room = MOST_LINES - sum(map(len, fixed)) - blanks
    # Who has less to say leaves its room to the other.
    for_models = max(room // 2, room - len(done))
    shown = cut(models, for_models)
    sections = [head, [title, *shown], curl, [first, *cut(done, room - len(shown))], following]
    lines: list[str] = []
    for section in sections:
        lines += ["", *section] if section and lines else section
    return lines
