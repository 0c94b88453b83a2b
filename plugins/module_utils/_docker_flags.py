# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Arguments of C(docker create), read the way Docker reads them, and those that a user may not give.

Docker parses with spf13/pflag: C(--name value), C(--name=value), C(-n value), C(-nvalue), C(-n=value), switches in one word (C(-it)), a
switch with a value only behind C(=), and C(--) or the first word that is no flag ends the flags: that word is the image.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL
except ImportError:  # on the node the files lie side by side
    from _node import LABEL  # type: ignore[import-not-found,no-redef]

# From `docker create --help` of Docker 20.10 to 28.2, and from addFlags in cli/command/container/opts.go of docker/cli for those that the
# help leaves out: hidden ones, and those of a newer daemon or of Windows.
_VALUES = """
add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period
cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems device device-cgroup-rule device-read-bps device-read-iops
device-write-bps device-write-iops dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add health-cmd
health-interval health-retries health-start-interval health-start-period health-timeout hostname io-maxbandwidth io-maxiops ip ip6 ipc
isolation kernel-memory label label-file link link-local-ip log-driver log-opt mac-address memory memory-reservation memory-swap
memory-swappiness mount name network network-alias oom-score-adj pid pids-limit platform publish pull restart runtime security-opt shm-size
stop-signal stop-timeout storage-opt sysctl tmpfs ulimit user userns uts volume volume-driver volumes-from workdir
"""
_SWITCHES = """
disable-content-trust help init interactive no-healthcheck oom-kill-disable privileged publish-all quiet read-only rm tty use-api-socket
"""
VALUES: frozenset[str] = frozenset(_VALUES.split())  # flags that take a value
SWITCHES: frozenset[str] = frozenset(_SWITCHES.split())
SHORT: Mapping[str, str] = {
    "P": "publish-all",
    "a": "attach",
    "c": "cpu-shares",
    "e": "env",
    "h": "hostname",
    "i": "interactive",
    "l": "label",
    "m": "memory",
    "p": "publish",
    "q": "quiet",
    "t": "tty",
    "u": "user",
    "v": "volume",
    "w": "workdir",
}
_OTHER_NAMES: Mapping[str, str] = {"dns-opt": "dns-option", "net": "network", "net-alias": "network-alias"}
_TRUE = ("1", "t", "T", "TRUE", "true", "True")  # Go's strconv.ParseBool
_FALSE = ("0", "f", "F", "FALSE", "false", "False")

#: What no extra argument may say, since the launcher says it or depends on it.
_OURS: Mapping[str, str] = {
    "cidfile": "the file would be there already at the second start; remove it",
    "entrypoint": "checks, downloads and the engine's own arguments depend on the image's program; use an image that starts the engine",
    "env-file": "it would override variables of the collection; use env",
    "help": "docker create would print its help and make no container; remove it",
    "label-file": "the collection knows its containers by their labels, and cannot see what is in a file; use --label",
    "name": "the collection finds the container by its name; it follows from the name of the service",
    "network": "use networks of the service",
    "pull": "use pull of the service",
    "restart": "systemd restarts the service; with a policy of its own Docker would bring the container back beside it. Remove it",
    "rm": "the reason of a failure is read from the container after its end; remove it",
}

# What a second container with the same arguments must not have while the first one runs.
UNIQUE = ("ip", "ip6", "link-local-ip", "mac-address", "network-alias", "publish", "publish-all")


@dataclass(frozen=True)
class Flag:
    """One flag as Docker understands it. Switches have the value C(true) or C(false)."""

    name: str
    value: str
    position: int  # in the list of arguments, of the word that names it

    @property
    def word(self) -> str:
        return f"--{self.name}={self.value}"


@dataclass(frozen=True)
class Mistake:
    """What Docker would refuse or take for something else. C(shown): the argument without what may be secret."""

    position: int
    shown: str
    message: str


def read(arguments: Sequence[str]) -> tuple[list[Flag], list[Mistake]]:
    """All flags, and all that is wrong with their form."""
    flags: list[Flag] = []
    mistakes: list[Mistake] = []
    position = 0
    while position < len(arguments):
        word = arguments[position]
        if word == "--" or len(word) < 2 or word[0] != "-":
            mistakes.append(Mistake(position, word, _taken_for_the_image(word, arguments[position + 1 :])))
            break
        taken = _long(arguments, position, flags, mistakes) if word[1] == "-" else _short(arguments, position, flags, mistakes)
        position += taken
    return flags, mistakes


def _taken_for_the_image(word: str, rest: Sequence[str]) -> str:
    if word == "--":
        return f"ends the flags, so that docker create would take {_shown(rest[0]) if rest else 'what follows'} for the image; remove it"
    return "is neither a flag nor the value of one, so docker create would take it for the image; remove it, or write its flag before it"


def _long(arguments: Sequence[str], position: int, flags: list[Flag], mistakes: list[Mistake]) -> int:
    written, equals, value = arguments[position][2:].partition("=")
    name = _OTHER_NAMES.get(written, written)
    if not written or written[0] in "-=":
        mistakes.append(Mistake(position, arguments[position], "is not a flag of docker create; write --flag or --flag=value"))
    elif name in SWITCHES:
        _switch(name, value if equals else "true", position, flags, mistakes)
    elif name not in VALUES:
        mistakes.append(Mistake(position, f"--{written}", _unknown(written)))
    elif equals:
        flags.append(Flag(name, value, position))
    elif position + 1 < len(arguments):
        flags.append(Flag(name, arguments[position + 1], position))
        return 2
    else:
        mistakes.append(Mistake(position, arguments[position], _without_value(f"--{written}")))
    return 1


def _short(arguments: Sequence[str], position: int, flags: list[Flag], mistakes: list[Mistake]) -> int:
    letters = arguments[position][1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = SHORT.get(letter)
        if name is None:
            mistakes.append(
                Mistake(position, f"-{letter}", "is not a flag of docker create; its page is https://docs.docker.com/reference/cli")
            )
            return 1
        if name in SWITCHES:
            given = len(letters) > 1 and letters[0] == "="
            _switch(name, letters[1:] if given else "true", position, flags, mistakes)
            if given:
                return 1
        elif letters:
            flags.append(Flag(name, letters[1:] if len(letters) > 1 and letters[0] == "=" else letters, position))
            return 1
        elif position + 1 < len(arguments):
            flags.append(Flag(name, arguments[position + 1], position))
            return 2
        else:
            mistakes.append(Mistake(position, arguments[position], _without_value(f"-{letter}")))
    return 1


def _switch(name: str, value: str, position: int, flags: list[Flag], mistakes: list[Mistake]) -> None:
    if value in _TRUE + _FALSE:
        flags.append(Flag(name, "true" if value in _TRUE else "false", position))
    else:
        mistakes.append(Mistake(position, f"--{name}", "is a switch; behind = it takes true or false only"))


def _without_value(flag: str) -> str:
    return f"takes a value, and none follows, so docker create would take the image for it; write '{flag}' and its value as two entries"


def _unknown(name: str) -> str:
    first = name.split()[0] if name.split() else ""
    if first != name and first in VALUES:
        return f"is one argument for docker create, blank included, and no flag; write it as two entries, or as --{first}=VALUE"
    close = difflib.get_close_matches(name, sorted(VALUES | SWITCHES), n=1, cutoff=0.7)
    return "is not a flag of docker create" + (f"; did you mean --{close[0]}?" if close else "; remove it")


def _shown(word: str) -> str:
    """A word without the value that may be a secret."""
    return word.partition("=")[0]


def refused(arguments: Sequence[str], ours: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None) -> list[Mistake]:
    """All that is wrong with extra arguments: their form, and what belongs to the collection however it is spelt.

    C(ours): further flags that the caller sets itself; C(variables): environment variables that are not for C(--env). Both with the
    remedy.
    """
    flags, mistakes = read(arguments)
    remedies = {**_OURS, **(ours or {})}
    for flag in flags:
        message = None
        shown = arguments[flag.position]
        if flag.name in remedies and flag.value not in _harmless(flag.name):
            message = f"is not allowed: {remedies[flag.name]}"
        elif flag.name == "label" and flag.value.strip().startswith(LABEL):
            message = f"is not allowed: by its labels {LABEL}* the collection knows its containers; use another label"
        elif flag.name == "log-driver" and flag.value == "none":
            message = "is not allowed: progress and causes are read from the log; use local or another driver"
        elif flag.name == "env":
            variable = flag.value.partition("=")[0]
            shown = f"--env {variable}"
            if variables is not None and variable in variables:
                message = f"is not allowed: {variables[variable]}"
        elif flag.name == "device" and "gpus" in remedies and re.match(r"nvidia\.com/gpu\b", flag.value):
            message = f"is not allowed: {remedies['gpus']}"
        if message is not None:
            mistakes.append(Mistake(flag.position, shown, message))
    return sorted(mistakes, key=lambda mistake: mistake.position)


def _harmless(name: str) -> Collection[str]:
    """Values that say what is so anyway."""
    if name == "restart":
        return ("no", "")
    return ("false",) if name in SWITCHES else ()


def values(arguments: Sequence[str], *names: str) -> list[str]:
    """The values of these flags, in their order."""
    return [flag.value for flag in read(arguments)[0] if flag.name in names]


def words(flags: Iterable[Flag]) -> list[str]:
    return [flag.word for flag in flags]


def beside(arguments: Sequence[str]) -> list[Flag]:
    """The flags that a second container may have while the first one runs: no address, alias or port of its own."""
    return [flag for flag in read(arguments)[0] if flag.name not in UNIQUE]


Port = tuple[str, int]  # protocol and number on the host


@dataclass(frozen=True)
class Publication:
    """A value of C(--publish). C(address) as it stands there, brackets included, empty for all; C(target) with its protocol."""

    address: str
    ports: tuple[Port, ...]  # none where Docker chooses one
    target: str


_PUBLISH = re.compile(
    r"(?:(?:(?P<address>\[[^\]]*\]|[^\[\]:]*):)?(?P<first>\d*)(?:-(?P<last>\d+))?:)?(?P<target>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?"
)


def publication(value: str) -> Publication | None:
    """Reads C([[address:]port:]target[/protocol]), ranges, and C(published=...,target=...); nothing where it is something else."""
    if "=" in value:
        fields = dict(part.partition("=")[::2] for part in value.split(","))
        value = f"{fields.get('published', '')}:{fields.get('target', '')}/{fields.get('protocol', 'tcp')}"
    found = _PUBLISH.fullmatch(value)
    if found is None:
        return None
    protocol = (found["protocol"] or "tcp").lower()
    first = int(found["first"]) if found["first"] else None
    numbers = range(first, int(found["last"] or first) + 1) if first is not None else range(0)
    return Publication(found["address"] or "", tuple((protocol, number) for number in numbers), f"{found['target']}/{protocol}")


_SHOWN_PORTS = re.compile(r"(\d+)(?:-(\d+))?->[\d-]+/(\w+)")


def shown_ports(text: str) -> frozenset[Port]:
    """Ports of the host in the column Ports of C(docker ps)."""
    return frozenset(
        (protocol, number) for first, last, protocol in _SHOWN_PORTS.findall(text) for number in range(int(first), int(last or first) + 1)
    )
