# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the gateway changes in LiteLLM, held to LiteLLM itself: the same answers, by other means."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from support.containers import LITELLM, docker_run

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import BASE_ENVIRONMENT

FILES = Path(__file__).parents[2] / "roles/litellm/files"

COMPARE = """
import json, logging
import gateway_server
import litellm
from fastapi import routing
from litellm.types.utils import ChatCompletionDeltaToolCall as Call, Delta, EmbeddingResponse, Function
from litellm.types.utils import ModelResponseStream, StreamingChoices, Usage

def piece(index=0, finish=None, usage=None, **delta):
    choice = StreamingChoices(index=index, delta=Delta(**delta), finish_reason=finish)
    made = ModelResponseStream(id="1", created=1, model="m", choices=[choice])
    if usage:
        made.usage = usage
    return made

def call(number, arguments, name=None):
    function = Function(name=name, arguments=arguments)
    return [Call(index=number, id="c%d" % number if name else None, type="function" if name else None, function=function)]

def calls(number):
    return [piece(tool_calls=call(number, "", "f%d" % number)), *[piece(tool_calls=call(number, "%d," % n)) for n in range(200)]]

def text(finish="stop"):
    return [piece(role="assistant", content=""), *[piece(content="w%d " % n) for n in range(300)], piece(content=None, finish=finish)]

streams = {
    "text": text(),
    "thought": [*[piece(reasoning_content="t%d " % n) for n in range(100)], *text()],
    "tools": [*text(None), *calls(0), *calls(1), piece(finish="tool_calls")],
    "usage": [*text(), piece(content="", usage=Usage(prompt_tokens=3, completion_tokens=300, total_tokens=303))],
}
found = {}
for name, pieces in streams.items():
    kept = gateway_server.Pieces()
    for one in pieces:
        kept.append(one)
    whole = litellm.stream_chunk_builder(pieces).model_dump()
    same = litellm.stream_chunk_builder(list(kept)).model_dump() == whole
    found[name] = {"pieces": len(pieces), "kept": len(kept), "same": same}

vector = {"object": "embedding", "index": 0, "embedding": [0.25] * 8}
answer = EmbeddingResponse(model="m", data=[vector], object="list", usage=Usage(prompt_tokens=1, total_tokens=1))
slow = routing.jsonable_encoder(answer)
warnings = []
gateway_server.LOG.warning = lambda *arguments: warnings.append(arguments)
gateway_server.install(lambda: False)
found["vectors"] = {"same": routing.jsonable_encoder(answer) == slow}
found["warnings"] = [str(warning) for warning in warnings]
print(json.dumps(found))
"""


def test_answers_are_the_same(tmp_path: Path) -> None:
    for path in FILES.glob("gateway_*.py"):
        shutil.copy(path, tmp_path)
    environment = {**BASE_ENVIRONMENT, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        docker_run(LITELLM, tmp_path, "python3", "-c", COMPARE, environment=environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    # Every change finds what it is for in this release.
    assert found.pop("warnings") == []
    assert {name: result["same"] for name, result in found.items()} == dict.fromkeys(found, True), found
    assert all(result["kept"] < result["pieces"] / 2 for result in found.values() if "kept" in result), found
