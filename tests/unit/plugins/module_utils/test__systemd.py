# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.llmops.gpu_inference.plugins.module_utils._systemd import environment_file, environment_paths, properties

#: systemd's own reader of such files, as a program of its own: it reads environment.d(5) with the parser of EnvironmentFile=.
READER = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
# The reader expands variables besides, which EnvironmentFile= does not; scenario `host` has them. It takes no control characters. Among
# those that are not assigned (Cn) are the ones that are refused.
VALUES = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Cn"], blacklist_characters="$"), max_size=12)


def read_back(folder: Path, text: str) -> dict[str, str]:
    (folder / "environment.d").mkdir(exist_ok=True)
    # As bytes: write_text has newline= since Python 3.10 only, and this runs with a node's 3.9 too.
    (folder / "environment.d/10-test.conf").write_bytes(text.encode())
    done = subprocess.run([READER], env={"XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}, capture_output=True, text=True, check=True)
    # The generator quotes for a shell, but leaves a leading tilde as it is.
    shell = "\n".join(re.sub(r"^(export \w+)=~", r"\1=\~", f"export {line}") for line in done.stdout.split("\n") if line)
    shown = subprocess.run(["bash", "-c", f"{shell}\nenv -0"], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True).stdout
    pairs = [item.decode("utf-8", "surrogateescape").split("=", 1) for item in shown.split(b"\0") if item]
    return {name: value for name, value in pairs if name.startswith("T_")}


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "",
        "a b",
        'q"uote',
        "it's",
        "back\\slash",
        "trailing\\",
        "%h %% %20",
        "# no comment",
        "; x",
        "`x`",
        " blanks ",
        "\u2028x",
        "é",
        "\\n",
        "~",
        "~/x",
        "a =~",
    ],
)
def test_systemd_reads_what_was_meant(tmp_path: Path, value: str) -> None:
    assert READER.exists(), "it comes with the package systemd"
    assert read_back(tmp_path, environment_file({"T_A": value, "T_B": "after"})).get("T_A", "") == value


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["T_A", "T_B", "T_C"]), VALUES.filter(bool), min_size=1))
def test_systemd_reads_any_value(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    assert read_back(tmp_path_factory.mktemp("reader"), environment_file(values)) == values


@pytest.mark.parametrize(
    "values", [{"A B": "x"}, {"": "x"}, {"1A": "x"}, {"A": "\0"}, {"A": "x\ufffe"}, {"A": "\U0010ffff"}, {"A": "\ufdd0"}, {"A": "\ud800"}]
)
def test_what_no_environment_can_hold(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"environment|null|no character"):
        environment_file(values)


def test_properties() -> None:
    text = "LoadState=loaded\nExecStart={ a=b }\nExecStart={ c }\nEnvironment=A=1\u2028x B=2\n\nnot a property\n"
    assert properties(text) == {"LoadState": ["loaded"], "ExecStart": ["{ a=b }", "{ c }"], "Environment": ["A=1\u2028x B=2"]}
    assert environment_paths(["/etc/default/docker (ignore_errors=yes)", "/etc/a b", ""]) == ["/etc/default/docker", "/etc/a b"]
