# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The code of docs/clients.md in the real libraries (requirements.txt), with the environment that is written: `make test-clients`."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clients.scripted_gateway import ANSWER, DIMENSION, Script, serving

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import parse_env_as_docker
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import render_client_files

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build" / "clients" / "venv" / "bin" / "python"
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
KEY = "sk-client-0123456789abcdef"
MODELS: list[dict[str, Any]] = [
    {"name": "chat", "capability": "chat", "max_input_tokens": 40960},
    {"name": "embedding", "capability": "embedding", "max_input_tokens": 512},
]
USED = {
    "langchain": ("LangChain", 'print(chat.invoke("Hi").content, len(embeddings.embed_documents(["some text"])[0]))'),
    "llama_index": (
        "LlamaIndex",
        'print(llm.complete("Hi").text, len(embeddings.get_text_embedding("some text")), llm.metadata.context_window)',
    ),
}


@pytest.mark.parametrize("name", USED)
def test_the_code_of_the_page_asks_the_gateway_rightly(name: str, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is not there: `make test-clients` makes it")
    heading, use = USED[name]
    found = re.search(rf"^### {heading}\n+```python\n(.*?)```", PAGE, re.M | re.S)
    assert found is not None
    script = Script(KEY, ["chat", "embedding"], str(tmp_path))
    with serving(script) as url:
        (file,) = render_client_files([{"type": name, "path": "/a"}], gateway_url=url, models=MODELS, api_key=KEY)
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", **parse_env_as_docker(file["content"])}
        code = f"{found[1]}\n{use}\n"
        done = subprocess.run([str(PYTHON), "-c", code], env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(ANSWER)[1].split() == [str(DIMENSION), *(["40960"] if name == "llama_index" else [])]
    assert {(asked.path, asked.model, asked.key) for asked in script.asked} == {
        ("/v1/chat/completions", "chat", KEY),
        ("/v1/embeddings", "embedding", KEY),
    }
    # Texts, and no token ids of OpenAI's vocabulary.
    assert [asked.body["input"] for asked in script.on("/v1/embeddings")] == [["some text"]]
