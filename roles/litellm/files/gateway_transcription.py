# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Speech to text: the form that the gateway hands on, and the answer in the format that was asked for. Needs no LiteLLM.

LiteLLM 1.110 takes whatever an engine says as JSON: asked for ``text``, ``srt`` or a stream, it wraps the engine's answer into JSON once
more. So engines are asked for JSON, and the format is made here.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from gateway_errors import RequestError

FORMATS = ("json", "srt", "text", "verbose_json", "vtt")
_PLAIN, _JSON, _EVENTS = b"text/plain; charset=utf-8", b"application/json", b"text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class Wanted:
    """What the client asked for."""

    format: str = "json"
    stream: bool = False

    @property
    def asked(self) -> str:
        """What the engine is asked for."""
        return "verbose_json" if self.format in ("srt", "verbose_json", "vtt") else "json"


def wanted_of(fields: t.Mapping[str, t.Any]) -> Wanted:
    chosen = str(fields.get("response_format") or "json")
    if chosen not in FORMATS:
        raise RequestError(400, f"response_format must be one of {', '.join(FORMATS)}", param="response_format", code="unsupported_value")
    stream = str(fields.get("stream") or "false").lower()
    if stream not in ("true", "false", "1", "0"):
        raise RequestError(400, "stream must be true or false", param="stream", code="invalid_type")
    if stream in ("true", "1") and chosen not in ("json", "text"):
        raise RequestError(
            400, f"a stream has no response_format {chosen}; ask for json or text", param="response_format", code="unsupported_value"
        )
    return Wanted(chosen, stream in ("true", "1"))


def _clock(seconds: float, comma: str) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{comma}{rest % 1000:03}"


def _subtitles(data: t.Mapping[str, t.Any], kind: str) -> str:
    segments = data.get("segments")
    if not isinstance(segments, list) or not all(isinstance(segment, dict) for segment in segments):
        raise RequestError(
            400, f"this model gives no times, which {kind} needs; ask for json or text", param="response_format", code="unsupported_value"
        )
    blocks = []
    for number, segment in enumerate(segments, 1):
        comma = "," if kind == "srt" else "."
        times = f"{_clock(float(segment.get('start') or 0), comma)} --> {_clock(float(segment.get('end') or 0), comma)}"
        text = str(segment.get("text") or "").strip()
        blocks.append(f"{number}\n{times}\n{text}\n" if kind == "srt" else f"{times}\n{text}\n")
    return ("" if kind == "srt" else "WEBVTT\n\n") + "\n".join(blocks) + "\n"


def render(answer: bytes, wanted: Wanted) -> tuple[bytes, bytes]:
    """Content type and body of the answer, from the engine's JSON."""
    if wanted.format in ("json", "verbose_json") and not wanted.stream:
        return _JSON, answer
    try:
        data = json.loads(answer)
    except ValueError:
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("text"), str):
        raise RequestError(502, "the engine gave no transcription")
    if wanted.stream:
        # The words come all at once: LiteLLM has no stream of them.
        events = ({"type": "transcript.text.delta", "delta": data["text"]}, {"type": "transcript.text.done", "text": data["text"]})
        return _EVENTS, b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    if wanted.format == "text":
        return _PLAIN, (data["text"] + "\n").encode()
    return _PLAIN, _subtitles(data, wanted.format).encode()
