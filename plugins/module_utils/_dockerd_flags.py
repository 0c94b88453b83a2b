# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The command line of dockerd: which keys of daemon.json its flags stand for."""

from __future__ import annotations

import re
import shlex
import typing as t
from collections.abc import Mapping

#: The flag of dockerd that says the same as a key, where the two names differ.
FLAG_TO_KEY: Mapping[str, str] = {
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "cdi-spec-dir": "cdi-spec-dirs",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "host": "hosts",
    "http-proxy": "proxies.http-proxy",
    "https-proxy": "proxies.https-proxy",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "no-proxy": "proxies.no-proxy",
    "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}

SHORT_FLAGS: Mapping[str, str] = {
    "-D": "debug",
    "-G": "group",
    "-H": "host",
    "-b": "bridge",
    "-l": "log-level",
    "-p": "pidfile",
    "-s": "storage-driver",
}


def unit_flags(exec_start: str, environment: str = "") -> tuple[str, ...]:
    """The arguments of dockerd from `systemctl show --property=ExecStart` and from environment lines (`KEY=value`).

    Variables in the command line are replaced as systemd does it. A line as in a unit file works too.
    """
    variables = _environment(environment)
    found: list[str] = []
    for command in re.findall(r"argv\[\]=(.*?) ; ignore_errors=", exec_start) or [exec_start.strip()]:
        command = re.sub(r"^ExecStart=", "", command).lstrip("-@:+!")
        for word in _words(command)[1:]:
            bare = re.fullmatch(r"\$(\w+)", word)
            if bare:  # `$NAME` alone is split into words, `${NAME}` is not (systemd.service(5))
                found.extend(_words(variables.get(bare.group(1), "")))
            else:
                found.append(re.sub(r"\$\{(\w+)\}", lambda match: variables.get(match.group(1), ""), word))
    return tuple(found)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is never closed
        return text.split()


def _environment(text: str) -> dict[str, str]:
    variables: dict[str, str] = {}
    for line in text.split("\n"):
        name, separator, value = line.strip().partition("=")
        if separator and re.fullmatch(r"\w+", name):
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            variables[name] = value
    return variables


def flagged_keys(flags: t.Sequence[str]) -> dict[str, str]:
    """Key of daemon.json (`proxies.http-proxy` for one inside) -> the flag that sets it."""
    found: dict[str, str] = {}
    for flag, name in _names(flags):
        found.setdefault(FLAG_TO_KEY.get(name, name), flag)
    return found


def value_of(flags: t.Sequence[str], name: str) -> str | None:
    """The value of a flag such as `--config-file`, in both spellings."""
    for position, flag in enumerate(flags):
        if flag == name and position + 1 < len(flags):
            return flags[position + 1]
        if flag.startswith(name + "="):
            return flag[len(name) + 1 :]
    return None


def without(flags: t.Sequence[str], name: str) -> list[str]:
    """The flags without this one and its value."""
    left: list[str] = []
    skip = False
    for flag in flags:
        if skip:
            skip = False
        elif flag == name:
            skip = True
        elif not flag.startswith(name + "="):
            left.append(flag)
    return left


def _names(flags: t.Sequence[str]) -> t.Iterator[tuple[str, str]]:
    for flag in flags:
        if flag.startswith("--") and len(flag) > 2:
            yield flag.partition("=")[0], flag[2:].partition("=")[0]
        elif re.match(r"-[A-Za-z]", flag) and flag[:2] in SHORT_FLAGS:
            yield flag[:2], SHORT_FLAGS[flag[:2]]
