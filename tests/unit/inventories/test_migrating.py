# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the pages in docs/migrating say, tried: what is moved as they say behaves as it did."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.inventories import dgpu, jetson, one, service
from unit.inventories.test_examples import offered, plan_of

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import PlanError, build_plan

PAGES = Path(__file__).parents[3] / "docs" / "migrating"
TAG, HUB = "qwen3:4b-instruct", "Qwen/Qwen3-4B-Instruct-2507"
VISION = {"source": "qwen3:4b", "modalities": ["text", "image"]}


@pytest.mark.parametrize(
    ("engine", "hardware", "model", "served_by"),
    [
        # As that gateway's own tests have it: Ollama for all beats the model's engine, else the model's engine is used, else its type.
        ("ollama", dgpu(), {"source": TAG, "engine": "vllm"}, "ollama"),
        ("vllm", dgpu(), {"source": TAG, "engine": "ollama"}, "ollama"),
        ("vllm", dgpu(), VISION, "ollama"),
        ("vllm", dgpu(), {"source": "qwen2.5vl:3b"}, "ollama"),
        ("vllm", dgpu(), {"source": HUB}, "vllm"),
        ("vllm", jetson(), {"source": TAG}, "ollama"),
        ("ollama", jetson(), {"source": TAG, "engine": "vllm"}, "ollama"),
        # It forces chat requests; embeddings are its own there.
        ("ollama", dgpu(), {"source": "intfloat/multilingual-e5-small", "capability": "embedding"}, "vllm"),
        ("ollama", dgpu(), {"source": "nomic-embed-text", "capability": "embedding"}, "ollama"),
        ("ollama", dgpu(), {"source": "BAAI/bge-reranker-base", "capability": "rerank"}, "vllm"),
        ("ollama", dgpu(), {"source": "openai/whisper-small", "capability": "transcription", "image_packages": []}, "vllm"),
    ],
)
def test_the_rules_of_the_gateway_before_ollama_and_vllm(engine: str, hardware: Any, model: dict[str, Any], served_by: str) -> None:
    """`serving.engine: ollama` is moved as `inference_engine: ollama`, `vllm` is left out, as the page says."""
    forced = {"inference_engine": "ollama"} if engine == "ollama" else {}
    plan = build_plan(one(service("chat", 8070, memory="4GiB"), hardware=hardware, inference_models={"chat": model}, **forced))
    assert [row["engine"] for row in plan["table"]] == [served_by]


@pytest.mark.parametrize(
    ("forced", "model"),
    [
        ("vllm", {"source": TAG}),
        ("vllm", {"source": TAG, "engine": "ollama"}),
        ("ollama", {"source": HUB}),
        ("ollama", {"source": HUB, "engine": "vllm"}),
    ],
)
def test_each_remedy_leads_to_a_plan(forced: str, model: dict[str, Any]) -> None:
    def plan(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return build_plan(one(service("chat", 8070, memory="4GiB"), inference_models={"chat": entry}, **changes))

    with pytest.raises(PlanError) as caught:
        plan(model, inference_engine=forced)
    (finding,) = caught.value.findings
    written = re.search(r"on_platform: \{dgpu: \{engine: (\w+), source: \.\.\.\}\}, or leave inference_engine out", finding.message)
    assert written is not None
    source = TAG if forced == "ollama" else HUB
    means = {**model, "on_platform": {"dgpu": {"engine": written[1], "source": source}}}
    assert plan(means, inference_engine=forced)["table"][0]["engine"] == forced
    assert plan(model)["table"]


def test_the_aliases_of_the_gateway_before_ollama_and_vllm() -> None:
    """Its configuration has small and capital letters for one model, and names with and without the publisher."""
    aliases = {
        "LLM": "small",
        "llm": "small",
        "VLM": "vision",
        "vlm": "vision",
        "qwen2.5-3b": "small",
        "Embbeding": "e5",
        "embbeding": "e5",
    }
    catalogue = {
        "small": {"source": "qwen2.5:3b", "aliases": ["LLM_SMALL"]},
        "vision": {"source": "qwen2.5vl:3b", "modalities": ["text", "image"]},
        "e5": {"source": "intfloat/multilingual-e5-small", "capability": "embedding", "aliases": ["Embedding"]},
    }
    services = [service("small", 11434), service("vision", 11434), service("e5", 8090, device="cpu")]
    names = offered(build_plan(one(*services, inference_models=catalogue, inference_model_aliases=aliases)))
    assert names["small"] >= {"LLM", "llm", "LLM_SMALL", "qwen2.5-3b", "qwen2.5:3b"}
    assert names["vision"] >= {"VLM", "vlm", "qwen2.5vl:3b"}
    assert names["e5"] >= {"Embedding", "Embbeding", "embbeding", "intfloat/multilingual-e5-small"}


def test_the_sdk_of_the_four_capabilities_finds_its_path() -> None:
    """Its embed() posts to the first, its page names the second."""
    raw = {item["path"]: item["model"] for item in plan_of("four-capabilities")["gateway"]["passthrough"]}
    assert raw == {"/api/embeddings": "embedding", "/embeddings/v1/embeddings": "embedding"}
    assert all(f"`{path}`" in (PAGES / "four-capabilities.md").read_text(encoding="utf-8") for path in raw)


def test_the_changes_to_the_sdk_send_its_key(tmp_path: Path) -> None:
    """The commands of the page, on calls such as its files have."""
    page = (PAGES / "four-capabilities.md").read_text(encoding="utf-8")
    (commands,) = [block for block in re.findall(r"```bash\n(.*?)```", page, re.S) if "sed -i" in block]
    (tmp_path / "litellm_client.py").write_text("resp = http.post(_EMBED_URL, json=payload)\n")
    (tmp_path / "test_gateway.py").write_text('resp = urllib.request.urlopen(f"{GATEWAY_URL}/v1/models", timeout=5)\n')
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True)
    client, test = ((tmp_path / name).read_text() for name in ("litellm_client.py", "test_gateway.py"))
    assert client == 'resp = http.post(_EMBED_URL, json=payload, headers={"Authorization": f"Bearer {GATEWAY_KEY}"})\n'
    key = 'headers={"Authorization": f"Bearer {litellm_client.GATEWAY_KEY}"}'
    assert test == f'resp = urllib.request.urlopen(urllib.request.Request(f"{{GATEWAY_URL}}/v1/models", {key}), timeout=5)\n'
    for program in (client, test):
        compile(program, "program", "exec")
