# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files against golden copies, and against what each program's loader looks at (see the files of plugin_utils/_clients)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import MARKER, parse_env_as_docker
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import ClientRenderError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import entry_findings, plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.containers import container_units
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.dimensions import models_to_measure, with_dimensions
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.registry import CLIENTS
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import (
    files_to_write,
    gateway_endpoints,
    render_client_files,
    root_url,
)

GOLDEN = Path(__file__).parent / "golden"
KEY = "sk-client-0123456789abcdef"
MODELS: list[dict[str, Any]] = [
    {
        "name": "chat",
        "capability": "chat",
        "aliases": ["LLM", "Qwen/Qwen3-VL-4B-Instruct-FP8"],
        "max_input_tokens": 8192,
        "timeout": 600,
        "request_defaults": {"temperature": 0.2, "max_tokens": 1024},
    },
    {"name": "ocr", "capability": "chat", "modalities": ["text", "image"], "max_input_tokens": 4096},
    {"name": "embedding", "capability": "embedding", "aliases": ["Embbeding"], "max_input_tokens": 512, "dimension": 384},
    {"name": "asr", "capability": "transcription"},
]


def render(*files: Any, models: list[dict[str, Any]] | None = None, **options: Any) -> list[dict[str, Any]]:
    arguments = {"gateway_url": "http://192.0.2.10:8400", "api_key": KEY, **options}
    return render_client_files(list(files), models=MODELS if models is None else models, **arguments)


def findings(*files: Any, **options: Any) -> list[str]:
    with pytest.raises(ClientRenderError) as caught:
        render(*files, **options)
    return list(caught.value.findings)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "crawl4ai.llm.env": (
        {"type": "crawl4ai", "path": "/opt/crawl4ai/.llm.env", "model": "chat", "temperature": 0.7, "api_token": "tok-0123"},
        {"network_url": "http://litellm-gateway:4000"},
    ),
    "crawl4ai-host.llm.env": ({"type": "crawl4ai", "path": "/opt/crawl4ai/.llm.env", "provider": "hosted_vllm", "model": "ocr"}, {}),
    "llm_connections.json": (
        {
            "type": "chat_studio",
            "path": "/srv/chat-studio/backend/orchestrator/config/llm_connections.json",
            "connections": [{"id": "vllm-external", "name": "External vLLM Server", "model": "LLM", "timeout": 120, "max_tokens": 4096}],
        },
        {},
    ),
    "llm_connections-default.json": ({"type": "chat_studio", "path": "/srv/llm_connections.json"}, {}),
    "metis.yaml": (
        {
            "type": "metis",
            "path": "/srv/metis/metis.yaml",
            "settings": {"metis_engine": {"max_workers": 4}, "query": {"similarity_top_k": 5}},
        },
        {},
    ),
    "openai.env": (
        {"type": "openai", "path": "/srv/app/openai.env", "key_names": ["VLLM_API_KEY"], "variables": {"OPENAI_TIMEOUT": 60}},
        {},
    ),
    "langchain.env": ({"type": "langchain", "path": "/srv/app/langchain.env"}, {}),
    "llama_index.env": (
        {"type": "llama_index", "path": "/srv/app/.env", "model": "ocr", "embedding_model": "Embbeding", "key_names": ["RERANK_KEY"]},
        {},
    ),
    "open_webui.env": (
        {"type": "open_webui", "path": "/srv/open-webui.env", "task_model": "ocr", "secret_key": "tok-0123"},
        {"network_url": "http://litellm-gateway:4000", "models": [*MODELS, {"name": "rerank", "capability": "rerank"}]},
    ),
    "litellm_sdk.env": ({"type": "litellm_sdk", "path": "/srv/sdk/.env"}, {"gateway_url": "http://192.0.2.10:8400/v1/"}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden(name: str) -> None:
    entry, options = CASES[name]
    text = render(entry, **options)[0]["content"]
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


# --- what the programs' loaders do with them -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "provider", "base_url"),
    [
        ("crawl4ai.llm.env", "openai/chat", "http://litellm-gateway:4000/v1"),
        ("crawl4ai-host.llm.env", "hosted_vllm/ocr", "http://192.0.2.10:8400/v1"),
    ],
)
def test_crawl4ai_takes_provider_address_and_key_from_its_environment(name: str, provider: str, base_url: str) -> None:
    environment = parse_env_as_docker((GOLDEN / name).read_text(encoding="utf-8"))
    # A variable named after the provider would win over LLM_BASE_URL and LLM_TEMPERATURE: there must be none.
    prefix = environment["LLM_PROVIDER"].split("/")[0].upper()
    assert not {f"{prefix}_BASE_URL", f"{prefix}_TEMPERATURE"} & set(environment)
    assert environment["LLM_PROVIDER"] == provider
    assert environment["LLM_BASE_URL"] == base_url
    assert environment["LLM_API_KEY"] == KEY
    float(environment.get("LLM_TEMPERATURE", "0"))


def test_chat_studio_accepts_every_entry() -> None:
    fields: dict[str, tuple[type, ...]] = {
        "id": (str,),
        "name": (str,),
        "base_url": (str,),
        "model": (str, type(None)),
        "api_key": (str, type(None)),
        "timeout": (int,),
        "max_tokens": (int, type(None)),
        "temperature": (float,),
        "is_local": (bool,),
    }
    for name in ("llm_connections.json", "llm_connections-default.json"):
        for entry in json.loads((GOLDEN / name).read_text(encoding="utf-8"))["connections"]:
            assert set(entry) == set(fields)
            assert all(isinstance(entry[field], types) for field, types in fields.items())
            # The program appends /v1/models itself, and takes these words for another kind of server.
            assert not entry["base_url"].endswith(("/v1", "/"))
            assert "ollama" not in entry["base_url"]


def test_metis_finds_its_settings_in_both_layouts() -> None:
    document = yaml.safe_load((GOLDEN / "metis.yaml").read_text(encoding="utf-8"))
    for section in ("llm_provider", "embedding_provider"):
        settings = document[section]
        assert settings["name"] == "vllm"
        assert settings["base_url"] == "http://192.0.2.10:8400/v1"
        assert settings["api_key"] == KEY
        assert settings["code_embedding_model"] == settings["docs_embedding_model"] == "embedding"
    assert document["llm_provider"]["model"] == document["query"]["model"] == "chat"
    assert document["metis_engine"] == {
        "max_token_length": 7168,
        "embed_dim": 384,
        "doc_chunk_size": 448,
        "doc_chunk_overlap": 96,
        "max_workers": 4,
    }


def test_the_client_of_metis_sends_texts_and_no_token_ids() -> None:
    """What the written arguments make of its requests was recorded."""
    recorded = json.loads((Path(__file__).parents[4] / "support/recordings/langchain_openai.json").read_text(encoding="utf-8"))
    settings = yaml.safe_load((GOLDEN / "metis.yaml").read_text(encoding="utf-8"))["embedding_provider"]
    assert settings["code_extra_kwargs"] == settings["docs_extra_kwargs"] == recorded["as_written"]["arguments"]
    inputs = [text for request in recorded["as_written"]["requests"] for text in request["input"]]
    assert all(isinstance(text, str) for text in inputs)
    assert not any(isinstance(text, str) for request in recorded["by_default"]["requests"] for text in request["input"])


#: A model that coding agents can work with.
AGENT: dict[str, Any] = {"name": "coder", "capability": "chat", "max_input_tokens": 65536}
#: What each program reads, in its own sources: Crawl4AI 0.9 deploy/docker/utils.py and entrypoint.sh; AI Orchestrator Studio
#: backend/orchestrator/app/config.py (7a851af); Metis 1.5.0 src/metis/configuration.py and providers/vllm.py (ad7c127), and llm_provider's
#: models in releases before; openai 2 _client.py; litellm_local litellm_client.py (72e5a2d).
READ: dict[str, set[str]] = {
    "crawl4ai": {"LLM_PROVIDER", "LLM_BASE_URL", "LLM_API_KEY", "LLM_TEMPERATURE", "CRAWL4AI_API_TOKEN"},
    "openai": {"OPENAI_BASE_URL", "OPENAI_API_KEY"},
    "litellm_sdk": {"GATEWAY_URL", "GATEWAY_KEY"},
    # Two by the libraries (langchain-openai 1.7.4, llama-index-llms-openai 0.8.3), the others by the code that uses them.
    **{
        library: {"OPENAI_API_BASE", "OPENAI_API_KEY", *(f"GATEWAY_{name}" for name in ("CHAT_MODEL", "CHAT_CONTEXT", "EMBEDDING_MODEL"))}
        for library in ("langchain", "llama_index")
    },
    "chat_studio": {"id", "name", "base_url", "model", "api_key", "timeout", "max_tokens", "temperature", "is_local"},
    "metis": {
        *(f"llm_provider.{key}" for key in ("name", "base_url", "api_key", "model", "code_embedding_model", "docs_embedding_model")),
        *(f"embedding_provider.{key}" for key in ("name", "base_url", "api_key", "code_embedding_model", "docs_embedding_model")),
        *(f"embedding_provider.{kind}_extra_kwargs.check_embedding_ctx_length" for kind in ("code", "docs")),
        *(f"metis_engine.{key}" for key in ("max_token_length", "embed_dim", "doc_chunk_size", "doc_chunk_overlap")),
        *(f"query.{key}" for key in ("model", "temperature", "max_tokens")),
    },
    # In open_webui 0.12.4 config.py and env.py, without a model for reranking.
    "open_webui": {
        *("ENABLE_PERSISTENT_CONFIG", "ENABLE_OLLAMA_API", "ENABLE_VERSION_UPDATE_CHECK", "OPENAI_API_BASE_URL", "OPENAI_API_KEY"),
        *("DEFAULT_MODELS", "TASK_MODEL_EXTERNAL", "WEBUI_SECRET_KEY"),
        *("RAG_EMBEDDING_ENGINE", "RAG_EMBEDDING_MODEL", "RAG_OPENAI_API_BASE_URL", "RAG_OPENAI_API_KEY"),
        *("AUDIO_STT_ENGINE", "AUDIO_STT_MODEL", "AUDIO_STT_OPENAI_API_BASE_URL", "AUDIO_STT_OPENAI_API_KEY"),
    },
    # In Prometheus 2.42 config/config.go, the names of a job.
    "prometheus": {"job_name", "authorization", "file_sd_configs", "relabel_configs", "metric_relabel_configs"},
    # The names in the programs themselves, as test_agents.py has them (tests/clients runs them).
    "claude_code": {
        *(f"env.ANTHROPIC_{name}" for name in ("BASE_URL", "AUTH_TOKEN", "API_KEY", "MODEL")),
        *(f"env.ANTHROPIC_DEFAULT_{name}_MODEL" for name in ("FABLE", "OPUS", "SONNET", "HAIKU")),
        *(f"env.CLAUDE_CODE_MAX_{name}_TOKENS" for name in ("CONTEXT", "OUTPUT")),
        *(f"env.CLAUDE_CODE_{name}" for name in ("ATTRIBUTION_HEADER", "DISABLE_NONESSENTIAL_TRAFFIC")),
    },
    "codex": {
        *("model_provider", "model", "model_context_window", "web_search"),
        *(f"model_providers.gpu-inference.{key}" for key in ("name", "base_url", "wire_api", "experimental_bearer_token")),
    },
    "opencode": {
        *("model", "small_model"),
        *(f"provider.gpu-inference.{key}" for key in ("npm", "name", "options.baseURL", "options.apiKey")),
        *(f"provider.gpu-inference.models.coder.{key}" for key in ("name", "limit.context", "limit.output")),
    },
}


def paths(node: Any, path: str = "") -> set[str]:
    if not isinstance(node, dict):
        return {path}
    return {found for key, value in node.items() for found in paths(value, f"{path}.{key}" if path else key)}


@pytest.mark.parametrize("kind", sorted(READ))
def test_every_key_that_is_written_is_read_by_the_program(kind: str) -> None:
    full: dict[str, dict[str, Any]] = {"crawl4ai": {"temperature": 0.1, "api_token": "tok-0123"}, "open_webui": {"secret_key": "tok-0123"}}
    full["prometheus"] = {"owner": "prometheus"}
    models = [AGENT] if CLIENTS[kind].merge in ("json", "toml") else None
    text = render({"type": kind, "path": "/a", **full.get(kind, {})}, models=models)[0]["content"]
    if CLIENTS[kind].merge == "toml":
        found = paths(tomllib.loads(text))
    elif CLIENTS[kind].merge == "json" or kind == "metis":
        found = paths(yaml.safe_load(text))  # JSON is YAML
    elif kind == "prometheus":
        found = {key for job in yaml.safe_load(text)["scrape_configs"] for key in job}
    elif kind == "chat_studio":
        found = {key for connection in json.loads(text)["connections"] for key in connection}
    else:
        found = set(parse_env_as_docker(text))
    assert found == READ[kind]


def test_each_program_has_what_it_reads() -> None:
    assert set(READ) == set(CLIENTS)


@pytest.mark.parametrize(
    ("models", "left_out"),
    [
        ([MODELS[0]], {"GATEWAY_EMBEDDING_MODEL"}),
        ([{"name": "chat", "capability": "chat"}, MODELS[2]], {"GATEWAY_CHAT_CONTEXT"}),
    ],
)
def test_libraries_are_told_of_what_there_is(models: list[dict[str, Any]], left_out: set[str]) -> None:
    text = render({"type": "langchain", "path": "/a"}, models=models)[0]["content"]
    assert READ["langchain"] - set(parse_env_as_docker(text)) == left_out


def test_open_webui_loads_no_model_of_its_own() -> None:
    """At its start it loads one for embeddings unless their engine is another."""
    variables = parse_env_as_docker(render({"type": "open_webui", "path": "/a"}, models=MODELS[:1])[0]["content"])
    assert variables["RAG_EMBEDDING_ENGINE"] == "openai"
    assert variables["BYPASS_EMBEDDING_AND_RETRIEVAL"] == "true"
    assert "AUDIO_STT_ENGINE" not in variables
    assert not [name for name in variables if "RERANK" in name]


@pytest.mark.parametrize(
    ("troubles", "written"),
    [((None, None), None), ((None, "vLLM has no parser for its calls"), '{"function_calling":"legacy"}')],
)
def test_open_webui_offers_no_tools_where_a_model_of_its_list_takes_none(troubles: tuple[str | None, ...], written: str | None) -> None:
    models = [{"name": f"chat{number}", "capability": "chat", "tools_trouble": trouble} for number, trouble in enumerate(troubles)]
    variables = parse_env_as_docker(render({"type": "open_webui", "path": "/a"}, models=models)[0]["content"])
    assert variables.get("DEFAULT_MODEL_PARAMS") == written


def test_open_webui_takes_json_of_the_users_for_what_is_json() -> None:
    own = '{"temperature":0.2}'
    text = render({"type": "open_webui", "path": "/a", "variables": {"DEFAULT_MODEL_PARAMS": own}}, models=MODELS)[0]["content"]
    assert parse_env_as_docker(text)["DEFAULT_MODEL_PARAMS"] == own
    for variables in ({"DEFAULT_MODEL_PARAMS": '{"a": 1}'}, {"WEBUI_NAME": '{"a":1}'}):
        with pytest.raises(ClientRenderError, match="the value contains"):
            render({"type": "open_webui", "path": "/a", "variables": variables}, models=MODELS)


# --- choices -------------------------------------------------------------------------------------------------------


def test_file_attributes_pass_through_and_the_merge_follows_from_the_type() -> None:
    rendered = render(
        {"type": "chat_studio", "path": "/a", "owner": "studio", "group": "studio", "mode": "0640", "directory_mode": "0750"},
        {"type": "openai", "path": "/b"},
    )
    assert {key: value for key, value in rendered[0].items() if key not in ("content", "gateway")} == {
        "location": "host",
        "path": "/a",
        "merge": "connections",
        "owner": "studio",
        "group": "studio",
        "mode": "0640",
        "directory_mode": "0750",
    }
    assert {key: value for key, value in rendered[1].items() if key not in ("content", "gateway")} == {
        "location": "host",
        "path": "/b",
        "merge": "none",
    }
    assert rendered[1]["content"].startswith(MARKER)


@pytest.mark.parametrize(
    ("entry", "options", "expected"),
    [
        ({"type": "crawl4ai", "network": False}, {"network_url": "http://litellm-gateway:4000"}, "http://192.0.2.10:8400/v1"),
        ({"type": "openai", "network": True}, {"network_url": "http://litellm-gateway:4000"}, "http://litellm-gateway:4000/v1"),
        ({"type": "openai"}, {"network_url": "http://litellm-gateway:4000"}, "http://192.0.2.10:8400/v1"),
        ({"type": "openai", "base_url": "https://llm.example/v1"}, {}, "https://llm.example/v1"),
    ],
)
def test_the_address_is_the_one_that_the_program_can_reach(entry: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    text = render({"path": "/a", **entry}, **options)[0]["content"]
    environment = parse_env_as_docker(text)
    assert environment.get("LLM_BASE_URL", environment.get("OPENAI_BASE_URL")) == expected


def test_a_temperature_of_the_model_is_taken_over() -> None:
    assert "LLM_TEMPERATURE=0.2" in render({"type": "crawl4ai", "path": "/a"})[0]["content"]
    assert "LLM_TEMPERATURE" not in render({"type": "crawl4ai", "path": "/a", "model": "ocr"})[0]["content"]


def test_metis_keeps_its_own_limit_for_long_contexts() -> None:
    models = [{**MODELS[0], "max_input_tokens": 131072}, MODELS[2]]
    document = yaml.safe_load(render({"type": "metis", "path": "/a"}, models=models)[0]["content"])
    assert "max_token_length" not in document["metis_engine"]


def test_a_relative_path_is_allowed_on_the_controller() -> None:
    entry = {"type": "openai", "path": "clients/studio.env", "location": "controller"}
    assert [file["path"] for file in render(entry, controller_dir="/inventory/")] == ["/inventory/clients/studio.env"]
    assert findings(entry) == ["clients_files[0].path: 'clients/studio.env' is not an absolute path"]


@pytest.mark.parametrize(
    ("entry", "options", "message"),
    [
        (
            {"type": "curl", "path": "/a"},
            {},
            "clients_files[0].type: 'curl' is not a known client program; known: chat_studio",
        ),
        ({"type": "openai", "path": "/a", "modell": "x"}, {}, "clients_files[0].modell: unknown key."),
        ({"type": "openai"}, {}, "clients_files[0].path: None is not an absolute path"),
        ({"type": "openai", "path": "a"}, {}, "clients_files[0].path: 'a' is not an absolute path"),
        ({"type": "openai", "path": "/a", "network": True}, {}, "clients_files[0].network: there is no gateway on this host's"),
        ({"type": "openai", "path": "/a", "base_url": "gw:8400"}, {}, "clients_files[0].base_url: 'gw:8400' is not an http"),
        ({"type": "openai", "path": "/a", "variables": {"X": "a b"}}, {}, "clients_files[0].variables: X: the value contains ' '"),
        (
            {"type": "crawl4ai", "path": "/a", "model": "gpt"},
            {},
            "clients_files[0].model: 'gpt' is not served by the gateway; chat models: chat, ocr",
        ),
        (
            {"type": "crawl4ai", "path": "/a", "model": "asr"},
            {},
            "clients_files[0].model: 'asr' has the capability transcription, but crawl4ai",
        ),
        (
            {"type": "crawl4ai", "path": "/a", "provider": "qwen"},
            {},
            "clients_files[0].provider: 'qwen' is not a provider",
        ),
        ({"type": "crawl4ai", "path": "/a"}, {"models": []}, "clients_files[0].model: the gateway serves no chat model"),
        (
            {"type": "chat_studio", "path": "/a"},
            {"gateway_url": "http://ollama.example:8400"},
            "clients_files[0].base_url: Chat Studio takes",
        ),
        ({"type": ["openai"], "path": "/a"}, {}, "clients_files[0].type: ['openai'] is not a known client program"),
        ({"type": "openai", "path": "/a", "mode": 416}, {}, "clients_files[0].mode: must be four octal digits in quotes"),
        ({"type": "openai", "path": "/a", "base_url": "http://["}, {}, "clients_files[0].base_url: 'http://[' is not an http"),
        ({"type": "openai", "path": "/a", "key_names": ["it's"]}, {}, "clients_files[0].key_names[0]: must be the name of an environment"),
        (
            {"type": "openai", "path": "/a", "key_names": ["A"], "variables": {"A": 1}},
            {},
            "clients_files[0].variables.A: is one of key_names too",
        ),
        ({"type": "openai", "path": "/a", "variables": {"A": [1]}}, {}, "clients_files[0].variables.A: must be one line of text"),
        ({"type": "openai", "path": "/a", "variables": {"a b": 1}}, {}, "clients_files[0].variables.a b: must be the name of"),
        ({"type": "crawl4ai", "path": "/a", "api_token": ["x"]}, {}, "clients_files[0].api_token: must be a text"),
        ({"type": "crawl4ai", "path": "/a", "temperature": "warm"}, {}, "clients_files[0].temperature: must be a number"),
        ({"type": "chat_studio", "path": "/a", "connections": [{"timeout": "x"}]}, {}, "clients_files[0].connections[0].timeout: must be"),
        ({"type": "chat_studio", "path": "/a", "connections": ["chat"]}, {}, "clients_files[0].connections[0]: must be a mapping"),
        ({"type": "metis", "path": "/a", "doc_chunk_size": "big"}, {}, "clients_files[0].doc_chunk_size: must be a whole number"),
        ({"type": "metis", "path": "/a", "settings": {"x": float("nan")}}, {}, "clients_files[0].settings: holds a value that"),
        ({"type": "chat_studio", "path": "/a", "connections": [{"title": "x"}]}, {}, "clients_files[0].connections[0].title: unknown key."),
        (
            {"type": "chat_studio", "path": "/a", "connections": [{"model": "none"}]},
            {},
            "clients_files[0].connections[0].model: 'none' is not served",
        ),
        (
            {"type": "chat_studio", "path": "/a", "connections": [{"id": "x"}, {"id": "x"}]},
            {},
            "clients_files[0].connections: the id 'x' is used twice",
        ),
        (
            {"type": "metis", "path": "/a"},
            {"models": MODELS[:1]},
            "clients_files[0].embedding_model: the gateway serves no embedding model",
        ),
        ({"type": "metis", "path": "/a", "doc_chunk_size": 512}, {}, "clients_files[0].doc_chunk_size: 512 does not fit the context"),
        ({"type": "metis", "path": "/a", "doc_chunk_overlap": 448}, {}, "clients_files[0].doc_chunk_overlap: 448 is not smaller"),
        (
            {"type": "metis", "path": "/a"},
            {"models": [MODELS[0], {"name": "e", "capability": "embedding"}]},
            "clients_files[0].embed_dim: the dimension of 'e' was not measured",
        ),
    ],
)
def test_mistakes_name_the_variable_the_value_and_the_remedy(entry: dict[str, Any], options: dict[str, Any], message: str) -> None:
    assert any(finding.startswith(message) for finding in findings(entry, **options)), findings(entry, **options)


def test_null_leaves_a_key_out() -> None:
    for entry in ({"type": "crawl4ai", "temperature": 0.1}, {"type": "metis", "embed_dim": 3}, {"type": "openai", "mode": "0640"}):
        nothing = dict.fromkeys(set(entry) - {"type"})
        assert render({**entry, **nothing, "path": "/a"}) == render({"type": entry["type"], "path": "/a"})


def test_every_mistake_is_reported_at_once() -> None:
    assert (
        len(findings({"type": "x", "path": "/a"}, {"type": "openai", "path": "b"}, {"type": "crawl4ai", "path": "/c", "model": "no"})) == 3
    )


def test_one_path_is_written_once() -> None:
    assert findings({"type": "openai", "path": "/a"}, {"type": "litellm_sdk", "path": "/a"}) == [
        "clients_files[1].path: /a is already written by clients_files[0]"
    ]
    assert render({"type": "openai", "path": "/a"}, {"type": "openai", "path": "/a", "location": "controller"})


KEYS = {"crawl4ai": "sk-crawl", "studio": "sk-studio"}


@pytest.mark.parametrize(
    ("entry", "options", "expected"),
    [
        ({"key": "studio"}, {"api_keys": KEYS, "api_key": None}, "sk-studio"),
        ({"key": "studio"}, {"api_keys": KEYS}, "sk-studio"),
        ({}, {"api_keys": KEYS}, KEY),
        ({}, {"api_keys": {"only": "sk-only"}, "api_key": None}, "sk-only"),
    ],
)
def test_each_program_gets_its_own_key(entry: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    assert f"OPENAI_API_KEY={expected}\n" in render({"type": "openai", "path": "/a", **entry}, **options)[0]["content"]


@pytest.mark.parametrize(
    ("entry", "options", "message"),
    [
        ({"key": "x"}, {"api_keys": KEYS}, "is not a client of the gateway (known: crawl4ai, studio); add it to"),
        ({"key": "x"}, {}, "is not a client of the gateway (there are none)"),
        ({}, {"api_keys": KEYS, "api_key": None}, "say which client of the gateway this is, one of crawl4ai, studio"),
        ({}, {"api_key": None}, "the gateway has no client keys; add one: inference_gateway.client_keys: {openai: null}"),
    ],
)
def test_a_missing_key_is_explained(entry: dict[str, Any], options: dict[str, Any], message: str) -> None:
    (finding,) = findings({"type": "openai", "path": "/a", **entry}, **options)
    assert finding.startswith(f"clients_files[0].key: {message}")


def test_an_unknown_location_is_refused() -> None:
    assert findings({"type": "openai", "path": "/a", "location": "moon"}) == [
        "clients_files[0].location: 'moon' is not one of host, controller"
    ]


# --- Crawl4AI's container ------------------------------------------------------------------------------------------

CRAWL4AI = {"type": "crawl4ai", "path": "/opt/crawl4ai/.llm.env", "api_token": "tok-0123456789"}
IMAGE = "unclecode/crawl4ai:0.9.5"


def units(*files: dict[str, Any]) -> list[dict[str, Any]]:
    return container_units(files, render(*files, network_url="http://litellm-gateway:4000"))


def test_crawl4ai_runs_with_the_environment_of_its_file() -> None:
    (unit,) = units({"type": "openai", "path": "/b"}, {**CRAWL4AI, "container": True})
    assert (unit["kind"], unit["name"], unit["image"], unit["networks"]) == ("crawl4ai", "crawl4ai", IMAGE, ["inference"])
    assert unit["docker_arguments"][:6] == ["--publish", "127.0.0.1:11235:11235", "--network-alias", "crawl4ai", "--shm-size", "1g"]
    assert unit["secret_environment"]["LLM_BASE_URL"] == "http://litellm-gateway:4000/v1"
    assert unit["secret_environment"]["CRAWL4AI_API_TOKEN"] == "tok-0123456789"
    assert KEY not in json.dumps(unit["docker_arguments"])
    assert unit["probe"] == {"base_url": "http://127.0.0.1:11235", "health_path": "/health", "level": "health"}


def test_the_token_for_all_serves_containers_without_their_own() -> None:
    bare = {"type": "crawl4ai", "path": "/a"}
    assert "CRAWL4AI_API_TOKEN" not in render(bare, tokens={"crawl4ai": "tok-generated"})[0]["content"]
    assert "CRAWL4AI_API_TOKEN=tok-generated\n" in render({**bare, "container": True}, tokens={"crawl4ai": "tok-generated"})[0]["content"]
    assert "tok-generated" not in render({**CRAWL4AI, "container": True}, tokens={"crawl4ai": "tok-generated"})[0]["content"]


def test_crawl4ai_settings() -> None:
    container = {"image": "own:1", "bind": "0.0.0.0", "port": 8080, "shm_size": "3g", "arguments": ["--memory", "4g"], "networks": ["x"]}
    (unit,) = units({**CRAWL4AI, "container": container})
    assert (unit["image"], unit["networks"], unit["probe"]["base_url"]) == ("own:1", ["x"], "http://127.0.0.1:8080")
    assert "0.0.0.0:8080:11235" in unit["docker_arguments"]
    assert unit["docker_arguments"][-2:] == ["--memory", "4g"]


def test_open_webui_keeps_its_data_in_a_volume() -> None:
    (unit,) = units({"type": "open_webui", "path": "/a", "secret_key": "tok-0123456789", "container": {"port": 3000}})
    assert unit["docker_arguments"][:2] == ["--publish", "127.0.0.1:3000:8080"]
    assert "gpu-inference-open-webui:/app/backend/data" in unit["docker_arguments"]
    assert unit["secret_environment"]["OPENAI_API_BASE_URL"] == "http://litellm-gateway:4000/v1"
    assert unit["probe"] == {"base_url": "http://127.0.0.1:3000", "health_path": "/health", "level": "health"}


def test_without_container_there_is_no_unit() -> None:
    assert units(CRAWL4AI, {**CRAWL4AI, "path": "/b", "container": False}) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([{**CRAWL4AI, "container": {"prot": 1}}], "clients_files[0].container.prot: unknown key. Did you mean 'port'?"),
        ([{**CRAWL4AI, "container": {"port": "x"}}], "clients_files[0].container.port: must be a whole number from 1 to 65535"),
        ([{**CRAWL4AI, "container": True}, {**CRAWL4AI, "path": "/b", "container": True}], "clients_files[1].container: a host runs one"),
        ([{"type": "crawl4ai", "path": "/a", "container": True}], "clients_files[0].container: Crawl4AI needs api_token"),
    ],
)
def test_container_mistakes(files: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ClientRenderError) as caught:
        units(*files)
    assert caught.value.findings[0].startswith(message)


# --- what is done with them ------------------------------------------------------------------------------------------


def test_files_are_written_where_they_belong() -> None:
    rendered = render({"type": "openai", "path": "/a"}, {"type": "openai", "path": "/b", "location": "controller"})
    assert [file["path"] for file in files_to_write(rendered, "host")] == ["/a"]
    assert [set(file) for file in files_to_write(rendered, "controller")] == [{"path", "merge", "content"}]


def test_the_gateway_is_asked_for_what_the_files_name() -> None:
    rendered = render(
        {"type": "crawl4ai", "path": "/a"},
        {"type": "metis", "path": "/b", "model": "LLM", "embedding_model": "Embbeding"},
        {"type": "openai", "path": "/c"},
        {"type": "openai", "path": "/d", "base_url": "https://llm.example"},
        network_url="http://litellm-gateway:4000",
    )
    endpoints = gateway_endpoints(rendered)
    assert [(endpoint["name"], endpoint["base_url"], endpoint.get("model")) for endpoint in endpoints] == [
        ("crawl4ai /a (chat)", "http://192.0.2.10:8400/v1", "chat"),
        ("metis /b (chat)", "http://192.0.2.10:8400/v1", "chat"),
        ("metis /b (embedding)", "http://192.0.2.10:8400/v1", "embedding"),
        ("openai /c", "http://192.0.2.10:8400/v1", None),
        ("openai /d", "https://llm.example/v1", None),
    ]
    assert {endpoint["api_key"] for endpoint in endpoints} == {KEY}


def test_check_mode_needs_no_measurement() -> None:
    models = [MODELS[0], {"name": "e", "capability": "embedding"}]
    document = yaml.safe_load(render({"type": "metis", "path": "/a"}, models=models, predict=True)[0]["content"])
    assert document["metis_engine"]["embed_dim"] == 0


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"type": "metis", "path": "/a", "key": "k"}, {**CRAWL4AI, "key": "k", "container": True}], []),
        ([{"type": "openai", "path": "a", "key": "k"}], [("inference_clients_config[0].path (host node)", "'a' is not an absolute path")]),
        (
            [{**CRAWL4AI, "key": "k", "container": {"prot": 1}}],
            [("inference_clients_config[0].container.prot (host node)", "unknown key. Did you mean 'port'?")],
        ),
        ([], []),
    ],
)
def test_a_plan_is_checked_before_there_are_keys_or_measurements(entries: list[dict[str, Any]], expected: list[tuple[str, str]]) -> None:
    models = [MODELS[0], {**MODELS[2], "dimension": None}]
    gateway = {"client_names": ["k"], "url": "http://192.0.2.10:8400", "models": models, "hosts": ["node"], "port": 8400}
    assert plan_findings({"gateway": gateway, "table": [], "clients": {"node": entries}}) == expected
    assert plan_findings({"gateway": None, "table": [], "clients": {"node": entries}}) == []


def test_entries_are_checked_where_there_is_no_plan() -> None:
    """For the message that has every mistake; what depends on models and keys comes when there is a plan."""
    entries = [{"type": "opneai", "path": "/a"}, {**CRAWL4AI, "model": "not served", "container": {"prot": 1}}, "no mapping"]
    assert entry_findings({"node": entries, "other": None}) == [
        (
            "inference_clients_config[0].type (host node)",
            f"'opneai' is not a known client program; known: {', '.join(sorted(CLIENTS))}",
        ),
        ("inference_clients_config[1].container.prot (host node)", "unknown key. Did you mean 'port'?"),
    ]


def test_a_name_with_a_colon_is_part_of_the_variable() -> None:
    """A name such as `A: secret` is shown as a place, which hides what may be one, and not as a sentence."""
    (found,) = entry_findings({"node": [{"type": "openai", "path": "/a", "variables": {"a: b": 1}}]})
    assert found == (
        "inference_clients_config[0].variables.a: b (host node)",
        "must be the name of an environment variable (letters, digits and _)",
    )


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        pytest.param(8070, "8070 is the port of the service chat on this host too; give the container another port", id="service"),
        pytest.param(8400, "8400 is the port of the gateway on this host too; give the container another port", id="gateway"),
        pytest.param(11235, None, id="free"),
    ],
)
def test_the_port_of_a_container_is_not_taken_on_its_host(port: int, expected: str | None) -> None:
    gateway = {"client_names": ["k"], "url": "http://192.0.2.10:8400", "port": 8400, "models": MODELS, "hosts": ["node"]}
    rows = [{"host": "node", "service": "chat", "port": 8070}, {"host": "other", "service": "far", "port": 11235}]
    clients = {"node": [{**CRAWL4AI, "key": "k", "container": {"port": port}}]}
    where = "inference_clients_config[0].container.port (host node)"
    assert plan_findings({"gateway": gateway, "table": rows, "clients": clients}) == ([(where, expected)] if expected else [])


# --- dimensions ----------------------------------------------------------------------------------------------------

UNMEASURED = [MODELS[0], {"name": "embedding", "capability": "embedding", "aliases": ["Embbeding"]}]


@pytest.mark.parametrize(
    ("files", "models", "expected"),
    [
        ([{"type": "metis", "path": "/a"}], UNMEASURED, ["embedding"]),
        ([{"type": "metis", "path": "/a", "embedding_model": "Embbeding"}, {"type": "metis", "path": "/b"}], UNMEASURED, ["embedding"]),
        ([{"type": "metis", "path": "/a", "embed_dim": 64}], UNMEASURED, []),
        ([{"type": "metis", "path": "/a"}], MODELS, []),
        ([{"type": "metis", "path": "/a", "embedding_model": "other"}], UNMEASURED, []),
        ([{"type": "openai", "path": "/a"}], UNMEASURED, []),
    ],
)
def test_models_to_measure(files: list[dict[str, Any]], models: list[dict[str, Any]], expected: list[str]) -> None:
    assert [model["name"] for model in models_to_measure(files, models)] == expected


def test_with_dimensions() -> None:
    measured = with_dimensions(
        UNMEASURED, [{"model": "embedding", "dimension": 64}, {"model": "chat", "dimension": None}, {"model": "chat"}]
    )
    assert [model.get("dimension") for model in measured] == [None, 64]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://gw:8400", "http://gw:8400"),
        ("http://gw:8400/", "http://gw:8400"),
        ("https://gw/v1/", "https://gw"),
        ("https://gw/base/v1", "https://gw/base"),
        ("ftp://gw", None),
        ("gw", None),
    ],
)
def test_root_url(url: str, expected: str | None) -> None:
    assert root_url(url) == expected


LIMITED = [{**MODELS[0], "clients": ["studio"]}, *MODELS[1:2], {**MODELS[2], "clients": ["studio"]}]
KEYS = {"crawler": "sk-crawler-0123456789", "studio": "sk-studio-0123456789"}


def test_a_program_is_told_of_no_model_that_its_client_may_not_ask_for() -> None:
    """Left out, it is the first of those that there are for this client; a key that has no name there is taken at its word."""

    def written(**options: Any) -> str:
        return str(
            render({"type": "crawl4ai", "path": "/a", "api_token": "tok-0123", **options.pop("entry", {})}, models=LIMITED, **options)[0][
                "content"
            ]
        )

    assert "/ocr" in written(entry={"key": "crawler"}, api_key=None, api_keys=KEYS)
    assert "/chat" in written(entry={"key": "studio"}, api_key=None, api_keys=KEYS)
    assert "/ocr" in written(api_key=None, api_keys={"crawler": KEYS["crawler"]})
    assert "/chat" in written()
    (connections,) = render({"type": "chat_studio", "path": "/b", "key": "crawler"}, models=LIMITED, api_key=None, api_keys=KEYS)
    assert [one["model"] for one in json.loads(connections["content"])["connections"]] == ["ocr"]


def test_a_model_that_its_client_may_not_ask_for_is_refused() -> None:
    given = {"models": LIMITED, "api_key": None, "api_keys": KEYS}
    assert findings({"type": "crawl4ai", "path": "/a", "key": "crawler", "model": "LLM", "api_token": "tok-0123"}, **given) == [
        "clients_files[0].model: the client 'crawler' may not ask for 'LLM'; add it to inference_gateway.client_keys.crawler.models, "
        "or take another model"
    ]
    (told,) = findings({"type": "metis", "path": "/a", "key": "crawler"}, **given)
    assert told == (
        "clients_files[0].embedding_model: the client 'crawler' may ask for no embedding model, and metis needs one; "
        "add one to inference_gateway.client_keys.crawler.models"
    )
    assert models_to_measure([{"type": "metis", "key": "crawler"}], [{**LIMITED[2], "dimension": None}]) == []
    assert len(models_to_measure([{"type": "metis", "key": "studio"}], [{**LIMITED[2], "dimension": None}])) == 1


# --- an authority of our own -----------------------------------------------------------------------------------------

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ALONE, BUNDLE = "/etc/gpu-inference/gateway-ca.pem", "/etc/gpu-inference/gateway-ca-bundle.pem"


def test_every_program_that_reads_its_environment_is_told_of_the_authority() -> None:
    for kind in ("openai", "litellm_sdk", "langchain", "llama_index", "crawl4ai"):
        (file,) = render({"type": kind, "path": "/etc/x.env"}, ca=CA)
        found = parse_env_as_docker(file["content"])
        assert {name: found.get(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")} == dict.fromkeys(
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), BUNDLE
        )
        (plain,) = render({"type": kind, "path": "/etc/x.env"})
        assert "CERT" not in plain["content"]
    (mine,) = render({"type": "openai", "path": "/etc/x.env", "variables": {"SSL_CERT_FILE": "/etc/mine.pem"}}, ca=CA)
    assert parse_env_as_docker(mine["content"])["SSL_CERT_FILE"] == "/etc/mine.pem"


@pytest.mark.parametrize(
    ("kind", "variable", "path"),
    [
        ("claude_code", "NODE_EXTRA_CA_CERTS", ALONE),
        ("opencode", "NODE_EXTRA_CA_CERTS", ALONE),
        ("codex", "CODEX_CA_CERTIFICATE", BUNDLE),
    ],
)
def test_an_agent_that_proves_itself_has_it_in_its_environment(kind: str, variable: str, path: str) -> None:
    models = [{"name": "chat", "capability": "chat", "max_input_tokens": 200000}]
    entry = {"type": kind, "path": "/srv/a/x", "owner": "a", "verify": "run"}
    (file,) = render(entry, models=models, ca=CA)
    assert file["run"]["environment"][variable] == path
    assert (path in file["content"]) is (kind == "claude_code")
    (plain,) = render(entry, models=models)
    assert variable not in plain["run"]["environment"]
    assert variable not in plain["content"]


def test_the_authority_is_written_where_files_are() -> None:
    rendered = render(
        {"type": "openai", "path": "/etc/x.env"}, {"type": "openai", "path": "y.env", "location": "controller"}, ca=CA, controller_dir="/c"
    )
    host, controller = files_to_write(rendered, "host", CA), files_to_write(rendered, "controller", CA, "/c/")
    assert [(file["path"], file.get("mode"), file.get("beside_those_of_the_host")) for file in host[1:]] == [
        (ALONE, "0644", False),
        (BUNDLE, "0644", True),
    ]
    assert {file["content"] for file in host[1:]} == {f"{MARKER}\n{CA}"}
    assert [file["path"] for file in controller] == ["/c/y.env", "/c/gateway-ca.pem", "/c/gateway-ca-bundle.pem"]
    assert "SSL_CERT_FILE=/c/gateway-ca-bundle.pem\n" in controller[0]["content"]
    assert len(files_to_write(rendered, "host")) == 1
    assert files_to_write([], "host", CA) == []
    assert {endpoint.get("ca") for endpoint in gateway_endpoints(rendered, CA)} == {CA}


def test_a_program_in_a_container_sees_the_same_file() -> None:
    entry = {"type": "crawl4ai", "path": "/etc/crawl4ai.env", "container": True, "api_token": "0123456789abcdef0123"}
    (unit,) = container_units([entry], render(entry, ca=CA, network_url="https://litellm-gateway:4000"))
    assert f"type=bind,source={BUNDLE},target={BUNDLE},readonly" in unit["docker_arguments"]
    assert unit["secret_environment"]["SSL_CERT_FILE"] == BUNDLE
    (plain,) = container_units([entry], render(entry, network_url="http://litellm-gateway:4000"))
    assert "--mount" not in plain["docker_arguments"]
