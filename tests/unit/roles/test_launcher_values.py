# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of an inventory in the launcher's units: what the role takes, systemd's own parser reads as it was meant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.local_play import playbook
from support.render import render
from support.repository import ROOT
from support.systemd import verify

ROLE = ROOT / "roles/launcher"
GRAMMAR: dict[str, str] = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))

PATHS: list[tuple[str, bool]] = [
    ("/usr/bin/python3", True),
    ("/opt/größe/python3.12", True),
    ("/opt/a:b,c;d=e@f~g+h/python3", True),
    ("/opt/x/", True),
    ("/opt/...", True),
    ("/opt/a b", False),
    ("/opt/a\tb", False),
    ("/opt/a\nExecStartPre=/bin/true", False),
    ("/opt/a\u2028b", False),
    ('/opt/"a"', False),
    ("/opt/'a'", False),
    ("/opt/a\\x20b", False),
    ("/opt/%h", False),
    ("/opt/100%", False),
    ("/opt/$HOME", False),
    ("/opt/../etc", False),
    ("/opt/.", False),
    ("//opt/x", False),
    ("opt/x", False),
    ("-/opt/x", False),
    ("@/opt/x", False),
    ("~/x", False),
    ("", False),
]
UNITS: list[tuple[str, bool]] = [
    ("srv-models.mount", True),
    ("srv-my\\x20models.mount", True),
    ("-.mount", True),
    ("wait@eth0.service", True),
    ("wait@a@b:c.service", True),
    ("network-online.target", True),
    ("a" * 250 + ".path", True),
    ("a" * 251 + ".path", False),
    ("srv-models", False),
    ("a.mounts", False),
    ("a.service b.service", False),
    ("a.service\nConflicts=b.service", False),
    ("a.service\n", False),
    ("wait@.service", False),
    ("@x.service", False),
    ("wait@%i.service", False),
    ("%p.service", False),
    ('"a".service', False),
    ("/srv/models", False),
    ("größe.service", False),
    (".service", False),
    ("", False),
]
DESCRIPTIONS: list[tuple[str, bool]] = [
    ("vLLM engine", True),
    ('100 % "of" it: #1; a=b \\x20 $HOME \\', True),
    ("%n%%", True),
    ("50 %zork", True),  # where it is a specifier, one that nobody has: systemd leaves the whole line out
    ("größe", True),
    ("a\nExecStart=/bin/false", False),
    ("a\rb", False),
    ("a\x85b", False),
    ("a\x00b", False),
    ("", False),
]


def taken(kind: str, value: str) -> bool:
    return re.match(GRAMMAR[kind], value) is not None


@pytest.mark.parametrize(("path", "good"), PATHS)
def test_paths(path: str, good: bool) -> None:
    assert taken("__launcher_path", path) is good
    assert taken("__launcher_folder", path) is good


@pytest.mark.parametrize("path", ["/", "/opt", "/usr/"])
def test_a_folder_of_the_system_is_not_the_launchers(path: str) -> None:
    """It goes as a whole when the launcher is removed."""
    assert not taken("__launcher_folder", path)


@pytest.mark.parametrize(("name", "good"), UNITS)
def test_names_of_units(name: str, good: bool) -> None:
    assert taken("__launcher_unit_name", name) is good


@pytest.mark.parametrize(("text", "good"), DESCRIPTIONS)
def test_descriptions(text: str, good: bool) -> None:
    assert taken("__launcher_description", text) is good


@pytest.mark.parametrize(
    ("kind", "good"), [("vllm", True), ("my_kind-2", True), ("", False), ("a/b", False), ("a@", False), ("x; rm", False), ("A", False)]
)
def test_kinds(kind: str, good: bool) -> None:
    assert taken("__launcher_kind", kind) is good


def unit(description: str = "x", **variables: Any) -> tuple[str, dict[str, Any]]:
    return "container_unit.service.j2", {"__launcher_unit": {"kind": "vllm", "description": description}, **variables}


def said(folder: Path, text: str, of_others: str = "no") -> str:
    """What systemd has to say of a unit, as it reads it."""
    file = folder / "vllm@.service"
    file.write_text(text, encoding="utf-8", newline="")
    done = verify(file, folder, of_others)
    return done.stdout + done.stderr


def test_systemd_reads_what_the_role_takes_as_it_was_meant(tmp_path: Path) -> None:
    """It looks for the very program, and complains of a unit that it would leave out."""
    programs = [tmp_path / path.strip("/") for path, good in PATHS if good]
    for program in programs:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n", encoding="utf-8")
        program.chmod(0o755)
    names = [name for name, good in UNITS if good]
    jobs = [
        unit(launcher_python=str(program), launcher_program_dir=str(program), launcher_systemd_wanted_units=names) for program in programs
    ]
    jobs += [unit(text) for text, good in DESCRIPTIONS if good]
    assert [said(tmp_path, text) for text in render("launcher", jobs)] == [""] * len(jobs)


@pytest.mark.parametrize("text", [text for text, good in DESCRIPTIONS if good])
def test_a_description_has_no_specifier_but_ours(text: str) -> None:
    (rendered,) = render("launcher", [unit(text)])
    (line,) = [line for line in rendered.split("\n") if line.startswith("Description=")]
    specifiers = re.findall(r"%(.)", line)
    assert [name for name in specifiers if name != "%"] == ["i"]
    assert line.replace("%%", "%") == f"Description={text} %i"


def test_systemd_looks_for_the_units_that_are_named(tmp_path: Path) -> None:
    """It complains of each of them, since in each there is a key that it does not know: a name that it read otherwise has no such file."""
    names = [name for name, good in UNITS if good]
    for name in names:
        (tmp_path / re.sub("@.*(?=[.])", "@", name)).write_text("[Unit]\nZork=1\n", encoding="utf-8")
    (text,) = render("launcher", [unit(launcher_systemd_wanted_units=names)])
    told = said(tmp_path, text, "yes")
    assert [name for name in names if not re.search(rf"(^|/){re.escape(name)}:", told, re.MULTILINE)] == [], told


@pytest.mark.parametrize("path", ["/bin/true x\n", "/bin/a b", "/opt/%h", "bin/true", "/opt/'a'"])
def test_systemd_itself_complains_of_such_a_path(tmp_path: Path, path: str) -> None:
    """Else the test above would prove nothing."""
    assert not taken("__launcher_path", path)
    (text,) = render("launcher", [unit(launcher_python=path)])
    assert said(tmp_path, text)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["preflight", "remove"])
def test_all_that_is_odd_is_refused_at_once(tmp_path: Path, entry: str) -> None:
    odd = {
        "launcher_python": "/opt/my env/bin/python3",
        "launcher_program_dir": "/",
        "launcher_systemd_wanted_units": ["srv-models.mount", "a.service\nb"],
        "launcher_units": [{"kind": "vllm", "description": "a\nExecStart=/bin/false"}, {"kind": "../x", "description": "y"}],
    }
    role = {"ansible.builtin.import_role": {"name": "llmops.gpu_inference.launcher", "tasks_from": entry}}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [role]}]), encoding="utf-8")
    given = json.dumps({"ansible_become": False, **odd})
    done = playbook(tmp_path, "play.yml", "-i", "localhost,", "-c", "local", "--check", "-e", given)
    assert done.returncode != 0, done.stdout
    told = " ".join(done.stdout.replace("\\\\", "\\").split())
    for value in ("/opt/my env/bin/python3", '"/"', "a.service", "ExecStart=/bin/false", "../x"):
        assert value in told, done.stdout
    assert '"srv-models.mount"' not in told
