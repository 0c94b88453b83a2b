# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recordings on the controller: what will not do is told with its variable, and what will goes to the hosts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._units.recordings import (
    RecordingError,
    findings,
    read,
    with_recordings,
)


def proof(*paths: Any) -> dict[str, Any]:
    return {"speed": 0.5, "answers": {"chat": [{"prompt": "x"}], "speech": [{"audio": path, "says": "x"} for path in paths]}}


def test_a_recording_goes_with_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF\x00")
    path = str(tmp_path / "a.wav")
    assert with_recordings(proof(path, path)) == {**proof(path, path), "audio": {path: base64.b64encode(b"RIFF\x00").decode()}}
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert read("~/a.wav") == read("a.wav") == b"RIFF\x00"
    (tmp_path / "most.wav").write_bytes(b"x" * 2**20)
    assert len(read("most.wav")) == 2**20


@pytest.mark.parametrize("given", [None, "text", {}, {"answers": "x"}, {"answers": {"m": "x"}}, {"answers": {"m": ["x", {"audio": 5}]}}])
def test_without_recordings_a_proof_stays_as_it_is(given: Any) -> None:
    assert with_recordings(given) is given


def test_what_will_not_do_is_told_once_for_all_hosts(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "long.wav").write_bytes(b"x" * (2**20 + 1))
    paths = [str(tmp_path / name) for name in ("none.wav", "empty.wav", "long.wav", "")] + ["a\0b", "~nobody-of-this-name/a.wav"]
    hosts = {"n1": {"rollout": {"proof": proof(*paths)}}, "n2": {"rollout": {"proof": proof(*paths)}}, "n3": {"rollout": {}}, "n4": {}}
    found = findings({"hosts": hosts})
    assert [(variable, path) for variable, path, _message in found] == [
        (f"inference_rollout.proof.answers.speech[{position}].audio", path) for position, path in enumerate(paths)
    ]
    messages = [message for _variable, _path, message in found]
    assert messages[:4] == [
        "cannot be read on the controller: No such file or directory; give the path of a recording",
        "is empty; give the path of a recording",
        "has more than 1 MiB; cut it, or make it 16 kHz mono",
        "cannot be read on the controller: Is a directory; give the path of a recording",
    ]
    assert all(message.startswith("cannot be read on the controller: ") for message in messages[4:])
    with pytest.raises(RecordingError, match=r"proof.answers.speech\[0\].audio = .*none.wav: cannot be read"):
        with_recordings(proof(*paths))
