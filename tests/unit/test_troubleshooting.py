# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/troubleshooting.md and the module's documentation say what the code says."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import PERMANENT, REMEDIES, Cause, classify_log
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_options import argument_spec
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_tell import PHASE_TEXT
from ansible_collections.llmops.gpu_inference.plugins.modules import endpoint_ready

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SECTIONS = {part.split("\n", 1)[0]: part for part in TEXT.split("\n## ")[1:]}
BEFORE = SECTIONS.pop("Before an engine starts")
WORDED = SECTIONS.pop("The same cause, other messages")
# Seen by the probe, or said by systemd or the launcher, in these words; the others are read from logs.
WORDS = {
    "dns": ["the host name ", " cannot be resolved ("],
    "refused": ["connection refused"],
    "timeout": ["still ", " after ", "; last: "],
    "tls_mismatch": ["the base URL says https, but the server speaks plain http; use http://"],
    "auth": ["the key was refused"],
    "not_openai": [": no OpenAI API at this path (", "; it is at ", ": use that as base URL"],
    "wrong_model": [": the model ", " is not served there; served: "],
    "stale_server": ["it has failed", ". Yet a server answers at ", ": an older or foreign process"],
    "unit_failed": ["it has failed", " (systemd: ", ", result ", ", exit status ", " restarts)"],
    "crash_loop": ["it died and waits to be started again"],
    "bad_answer": ["POST ", " failed"],
    "group_ended": ["its part on ", " has ended"],
    "partly_on_cpu": ["ready, but with a drawback"],
}


def test_every_cause_has_its_entry_and_nothing_else_does() -> None:
    assert list(SECTIONS) == [str(cause) for cause in Cause]
    assert re.findall(r"\(#(\w+)\) \|", TEXT) == list(SECTIONS)


@pytest.mark.parametrize("cause", list(Cause), ids=str)
def test_an_entry_says_what_the_message_says(cause: Cause) -> None:
    section = SECTIONS[str(cause)]
    assert f"**What to do.** {REMEDIES[cause]}" in section
    assert ("*Not retried.*" in section) is (cause in PERMANENT)


@pytest.mark.parametrize("cause", [cause for cause in Cause if str(cause) not in WORDS], ids=str)
def test_the_example_of_an_entry_is_really_read_as_that_cause(cause: Cause) -> None:
    example = SECTIONS[str(cause)].split("```text\n")[1].split("\n```")[0]
    kind = re.match(r"unit (\w+)@", example)
    assert kind
    assert classify_log(kind.group(1), [example.split("the start failed. ", 1)[1]], exit_code=1).cause is cause


def test_messages_before_an_engine_starts_are_in_the_code() -> None:
    files = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("roles/*/tasks/*.yml")]
    code = re.sub(r"\s+", " ", " ".join(path.read_text(encoding="utf-8") for path in files))
    messages = [text for row in re.findall(r"^\| (`.*?) \|", BEFORE, re.M) for text in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 15
    assert [message for message in messages if message.strip() not in code] == []


@pytest.mark.parametrize("cause", WORDS)
def test_the_words_of_an_example_are_in_the_code(cause: str) -> None:
    code = "".join(
        (ROOT / "plugins" / "module_utils" / name).read_text(encoding="utf-8")
        for name in ("_probe.py", "_probe_http.py", "_endpoint_ready.py", "_ready_judge.py", "_group_rules.py")
    )
    example = SECTIONS[cause].split("```text\n")[1].split("\n```")[0]
    assert [words for words in WORDS[cause] if words not in example or words not in code] == []


def test_the_modules_documentation_lists_every_cause_and_phase() -> None:
    returned = yaml.safe_load(endpoint_ready.RETURN)["endpoints"]["contains"]
    for name, known in (("cause", [str(cause) for cause in Cause]), ("phase", list(PHASE_TEXT))):
        listing = next(text for text in returned[name]["description"] if text.startswith("One of "))
        assert re.findall(r"V\((\w+)\)", listing) == known


def test_the_modules_documentation_is_its_argument_spec() -> None:
    options = yaml.safe_load(endpoint_ready.DOCUMENTATION)["options"]
    assert options.pop("_slice")  # between the action plugin and the module

    def compare(documented: dict[str, dict[str, object]], spec: dict[str, dict[str, object]]) -> None:
        assert list(documented) == list(spec)
        for name, one in spec.items():
            assert all(isinstance(text, str) for text in t.cast("list[object]", documented[name]["description"])), name
            for key in ("type", "elements", "default", "choices", "required"):
                assert documented[name].get(key) == one.get(key), f"{name}: {key}"

    spec = argument_spec()
    compare(options, spec)
    compare(options["endpoints"]["suboptions"], spec["endpoints"]["options"])


def _other_words() -> list[tuple[str, ...]]:
    rows = (re.split(r" \| ", line.strip("| ")) for line in WORDED.split("\n") if line.startswith("| ") and "`" in line)
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(("kind", "words", "cause", "retried", "what"), _other_words())
def test_words_with_a_remedy_of_their_own_are_told_so(kind: str, words: str, cause: str, retried: str, what: str) -> None:
    told = classify_log(kind, [words.strip("`")], exit_code=1)
    assert (str(told.cause), "no" if told.permanent else "yes") == (cause.strip("`"), retried)
    assert [key for key in re.findall(r"`([^`]+)`", what) if key.lower() not in told.remedy.lower()] == []
    assert told.remedy != REMEDIES[told.cause]
