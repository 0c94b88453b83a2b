# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Recordings on the controller by which transcription models are proved.

The plan has their paths only. Their bytes go to a host with the arguments of the modules that ask its engines.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: Half a minute as 16 kHz mono. Every host gets all of them with each proof.
MOST_MIB = 1


class RecordingError(Exception):
    pass


def read(path: str) -> bytes:
    """A path begins at the folder that Ansible runs in, as elsewhere."""
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(MOST_MIB * 2**20 + 1)
    except (OSError, RuntimeError, ValueError) as error:  # a user without a home, a path that can be none
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(f"cannot be read on the controller: {reason}; give the path of a recording") from None
    if not content:
        raise RecordingError("is empty; give the path of a recording")
    if len(content) > MOST_MIB * 2**20:
        raise RecordingError(f"has more than {MOST_MIB} MiB; cut it, or make it 16 kHz mono")
    return content


def _named(proof: Any) -> Iterator[tuple[str, str]]:
    """Below which keys of a proof a recording is named, and its path. What is no such thing is told by others."""
    answers = proof.get("answers") if isinstance(proof, Mapping) else None
    for model, entries in answers.items() if isinstance(answers, Mapping) else ():
        for position, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
            if isinstance(entry, Mapping) and isinstance(entry.get("audio"), str):
                yield f"answers.{model}[{position}].audio", entry["audio"]


def findings(plan: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Variable, path and message of each recording that will not do, once for all hosts."""
    proofs = [host.get("rollout", {}).get("proof") for host in plan["hosts"].values()]
    found = []
    for where, path in dict.fromkeys(named for proof in proofs for named in _named(proof)):
        try:
            read(path)
        except RecordingError as error:
            found.append((f"inference_rollout.proof.{where}", path, str(error)))
    return found


def with_recordings(proof: Any) -> Any:
    """A module's O(proof), with the recordings that it names."""
    audio: dict[str, str] = {}
    for where, path in _named(proof):
        try:
            audio[path] = base64.b64encode(read(path)).decode()
        except RecordingError as error:
            raise RecordingError(f"proof.{where} = {path}: {error}") from None
    return {**proof, "audio": audio} if audio else proof
