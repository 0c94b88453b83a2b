# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Crawl4AI, Metis and Chat Studio, as docs/migrating says: the commands of each hand-made setup, and what its program reads."""

from __future__ import annotations

import base64
import json
import os
import shlex
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
import yaml

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SCENARIO = yaml.safe_load((PROJECT / "molecule/examples/molecule.yml").read_text())
ADDRESSES = {item["name"].removeprefix("gpuinf-examples-"): item["ip"] for item in SCENARIO["platforms"]}
OVERLAY = SCENARIO["provisioner"]["inventory"]["host_vars"]
ENGINE_KEY = OVERLAY["gpu01"]["inference_engine_key"]
ENDPOINTS = OVERLAY["gateway01"]["inference_external_endpoints"]
SAMPLES = PROJECT / "playbooks/files/samples"
HELLO = {"messages": [{"role": "user", "content": "Hello, how are you?"}], "max_tokens": 100}
SEEN, SAID = "Text seen by tiny-vision.", "Hello from tiny-chat."

crawl4ai, metis, studio = (testinfra.get_host(f"docker://gpuinf-examples-{name}") for name in ("crawl4ai", "metis", "chat-studio"))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def environment(node: Any, path: str) -> dict[str, str]:
    """As `docker run --env-file` reads it."""
    lines = [line for line in node.check_output(f"cat {path}").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def curl(node: Any, url: str, *arguments: str, key: str | None = None) -> tuple[int, str]:
    """Status and text that curl gets on this node; 0 where nobody answers."""
    words = ["curl", "--silent", "--max-time", "120", "--write-out", "\n%{http_code}", *arguments, url]
    if key:
        words += ["--header", f"Authorization: Bearer {key}"]
    text, _newline, status = node.run(shlex.join(words)).stdout.rpartition("\n")
    return int(status), text


def names(reply: str) -> set[str]:
    return {entry["id"] for entry in json.loads(reply)["data"]}


def content(reply: requests.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"]).strip()


def playbook(example: str, *arguments: str) -> subprocess.Popen[str]:
    inventories = ["--inventory", f"inventories/{example}/hosts.yml", "--inventory", str(EPHEMERAL / "inventory")]
    return subprocess.Popen(
        ["ansible-playbook", *inventories, "--extra-vars", f"example={example}", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ANSIBLE_CONFIG": str(EPHEMERAL / "ansible.cfg")},
    )


# --- Crawl4AI


@pytest.fixture(scope="module")
def llm_env() -> dict[str, str]:
    return environment(crawl4ai, "/opt/crawl4ai/.llm.env")


def test_crawl4ai_everything_has_the_old_names_and_ports() -> None:
    running = set(crawl4ai.check_output("docker ps --format '{{.Names}}'").split())
    assert running == {"vllm-qwen2.5-vl-7b", "litellm-gateway", "crawl4ai-crawl4ai"}
    for unit in ("vllm@qwen2.5-vl-7b", "litellm@gateway", "crawl4ai@crawl4ai"):
        assert crawl4ai.check_output(f"systemctl is-active {unit}.service") == "active"
    members = "docker network inspect --format '{{range .Containers}}{{.Name}} {{end}}' crawl4ai-network"
    assert set(crawl4ai.check_output(members).split()) == {"litellm-gateway", "crawl4ai-crawl4ai"}
    listening = {line.split()[3] for line in crawl4ai.check_output("ss -H -l -t -n").splitlines()}
    assert {entry for entry in listening if entry.endswith((":8000", ":11235"))} == {"127.0.0.1:8000", "127.0.0.1:11235"}
    assert crawl4ai.check_output("docker inspect --format '{{.HostConfig.ShmSize}}' crawl4ai-crawl4ai") == str(1 << 30)


def test_crawl4ai_file(llm_env: dict[str, str]) -> None:
    file = crawl4ai.file("/opt/crawl4ai/.llm.env")
    assert (file.user, file.mode) == ("root", 0o600)
    assert set(llm_env) == {"LLM_PROVIDER", "LLM_BASE_URL", "LLM_API_KEY", "LLM_TEMPERATURE", "CRAWL4AI_API_TOKEN"}
    assert llm_env["LLM_PROVIDER"] == "openai/qwen2.5-vl-7b"
    assert llm_env["LLM_BASE_URL"] == "http://litellm-gateway:4000/v1"
    assert llm_env["LLM_API_KEY"] == (EPHEMERAL / "crawl4ai/secrets/client_keys/crawl4ai").read_text().strip()
    assert llm_env["LLM_TEMPERATURE"] == "0.7"


def test_crawl4ai_models_of_the_engine() -> None:
    status, text = curl(crawl4ai, "http://localhost:8000/v1/models", key=ENGINE_KEY)
    assert (status, names(text)) == (200, {"qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct"})
    # The old setup's key, which any server took that did not check it.
    assert [curl(crawl4ai, "http://localhost:8000/v1/models", key=key)[0] for key in (None, "VLLM")] == [401, 401]


def test_crawl4ai_reaches_the_gateway_and_only_that() -> None:
    """Instead of `ping vllm-qwen2.5-vl-7b`: the line of the page, and why the old one does not work."""
    program = "import urllib.request; print(urllib.request.urlopen('http://litellm-gateway:4000/health/readiness').status)"
    assert crawl4ai.check_output(f"docker exec crawl4ai-crawl4ai python3 -c {shlex.quote(program)}") == "200"
    assert crawl4ai.run("docker exec crawl4ai-crawl4ai getent hosts vllm-qwen2.5-vl-7b").rc != 0
    assert (
        crawl4ai.run(
            "docker run --rm --network crawl4ai-network --entrypoint getent registry.testbed:5000/unclecode/crawl4ai:0.9.5 hosts crawl4ai"
        ).rc
        == 0
    )


def test_crawl4ai_answers_with_what_the_model_says(llm_env: dict[str, str]) -> None:
    url, token = "http://localhost:11235/llm/https%3A%2F%2Fexample.com?q=Extract%20main%20content", llm_env["CRAWL4AI_API_TOKEN"]
    assert curl(crawl4ai, "http://localhost:11235/health")[0] == 200
    status, text = curl(crawl4ai, url, key=token)
    assert (status, json.loads(text)["answer"].strip()) == (200, SEEN)
    assert curl(crawl4ai, url)[0] == 401
    # The path of the old setup is not Crawl4AI's.
    old = ("--data", json.dumps({"url": "https://example.com", "instruction": "Extract main content"}))
    assert curl(crawl4ai, "http://localhost:11235/llm/extract", *old, key=token)[0] == 405


def test_crawl4ai_by_litellm_itself() -> None:
    """What Crawl4AI does with its environment, in a container started like the old one: the new provider works, the old one cannot."""
    program = """
import os
import litellm
def ask(model):
    return litellm.completion(model=model, base_url=os.environ["LLM_BASE_URL"], api_key=os.environ["LLM_API_KEY"],
                              temperature=float(os.environ["LLM_TEMPERATURE"]), max_tokens=16,
                              messages=[{"role": "user", "content": "Hello"}]).choices[0].message.content
print(ask(os.environ["LLM_PROVIDER"]))
try:
    ask("qwen/qwen2.5-vl-7b-instruct")
except litellm.BadRequestError as error:
    print(error)
"""
    run = "docker run --rm --network crawl4ai-network --env-file /opt/crawl4ai/.llm.env --env LITELLM_LOCAL_MODEL_COST_MAP=True"
    done = crawl4ai.check_output(f"{run} --entrypoint python3 registry.testbed:5000/berriai/litellm:v1.110.2 -c {shlex.quote(program)}")
    assert done.splitlines()[0].strip() == SEEN
    assert "LLM Provider NOT provided" in done


@pytest.mark.parametrize("model", ["qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct"])
def test_crawl4ai_images_by_both_names(llm_env: dict[str, str], model: str) -> None:
    url, headers = f"http://{ADDRESSES['crawl4ai']}:8400/v1/chat/completions", bearer(llm_env["LLM_API_KEY"])
    image = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode((SAMPLES / "text.png").read_bytes()).decode()},
    }
    tokens = []
    for count in (0, 1, 4, 5):
        body = {
            "model": model,
            "max_tokens": 16,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Read it."}] + [image] * count}],
        }
        reply = requests.post(url, headers=headers, json=body, timeout=120)
        assert content(reply) == SEEN
        tokens.append(reply.json()["usage"]["prompt_tokens"])
    assert tokens[0] < tokens[1] < tokens[2]
    # A fifth image is left out instead of ending in an error.
    assert tokens[3] == tokens[2]
    assert requests.post(url, json=body, timeout=30).status_code == 401


# --- Chat Studio


@pytest.fixture(scope="module")
def connections() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((EPHEMERAL / "chat-studio/clients/chat-studio/llm_connections.json").read_text())[
        "connections"
    ]
    return found


def test_studio_file_keeps_the_entries_of_others(connections: list[dict[str, Any]]) -> None:
    before = json.loads((PROJECT / "molecule/examples/files/llm_connections.json").read_text())["connections"]
    assert [entry["id"] for entry in connections] == ["llm-1767854937489", "vllm-external", "gateway-ollama"]
    assert connections[0] == before[0]
    assert connections[1] == {
        "id": "vllm-external",
        "name": "External vLLM Server",
        "base_url": f"http://{ADDRESSES['chat-studio']}:8400",
        "model": "llama-2-7b-chat",
        "api_key": (EPHEMERAL / "chat-studio/secrets/client_keys/chat-studio").read_text().strip(),
        "timeout": 120,
        "max_tokens": 2048,
        "temperature": 0.7,
        "is_local": False,
    }
    assert set(connections[2]) == set(before[1])


def test_studio_commands_at_the_gateway(connections: list[dict[str, Any]]) -> None:
    url, key = connections[1]["base_url"], connections[1]["api_key"]
    listed = requests.get(f"{url}/v1/models", headers=bearer(key), timeout=30)
    assert {"llama-2-7b-chat", "meta-llama/Llama-2-7b-chat-hf", "llama3.2:3b"} <= names(listed.text)
    assert requests.get(f"{url}/health/readiness", timeout=30).status_code == 200
    for model in ("llama-2-7b-chat", "meta-llama/Llama-2-7b-chat-hf"):
        assert (
            content(requests.post(f"{url}/v1/chat/completions", headers=bearer(key), json={**HELLO, "model": model}, timeout=120)) == SAID
        )
    assert requests.get(f"{url}/v1/models", timeout=30).status_code == 401
    assert requests.post(f"{url}/v1/chat/completions", json={**HELLO, "model": "llama-2-7b-chat"}, timeout=30).status_code == 401


def test_studio_commands_at_the_server_itself() -> None:
    server = ENDPOINTS[0]
    for path, without in (("/v1/models", 401), ("/health", 200)):
        assert requests.get(server["base_url"] + path, headers=bearer(server["api_key"]), timeout=30).status_code == 200
        assert requests.get(server["base_url"] + path, timeout=30).status_code == without


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
def test_studio_streams(connections: list[dict[str, Any]], path: str) -> None:
    """As the program does it: everything from its own entry, with the path that it appends."""
    entry = connections[1]
    body = {
        "model": entry["model"],
        "temperature": entry["temperature"],
        "max_tokens": entry["max_tokens"],
        "stream": True,
        "messages": HELLO["messages"],
    }
    with requests.post(
        entry["base_url"] + path, headers=bearer(entry["api_key"]), json=body, stream=True, timeout=entry["timeout"]
    ) as reply:
        assert reply.status_code == 200, reply.text
        lines = [line.removeprefix("data: ") for line in reply.iter_lines(decode_unicode=True) if line]
    assert lines[-1] == "[DONE]"
    pieces = [choice["delta"].get("content") or "" for line in lines[:-1] for choice in json.loads(line)["choices"]]
    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(pieces).strip() == SAID


def test_studio_server_that_is_down_answers_with_an_error(connections: list[dict[str, Any]]) -> None:
    entry = connections[2]
    reply = requests.post(
        f"{entry['base_url']}/v1/chat/completions", headers=bearer(entry["api_key"]), json={**HELLO, "model": entry["model"]}, timeout=60
    )
    assert reply.status_code >= 500, reply.text


def test_studio_server_that_is_required_stops_the_run() -> None:
    wanted = [ENDPOINTS[0], {**ENDPOINTS[1], "required": True}]
    asked = json.dumps({"inference_external_endpoints": wanted, "litellm_ready_timeout": 10})
    run = playbook("chat-studio", "--extra-vars", asked, "--tags", "litellm", "site.yml")
    output = run.communicate(timeout=300)[0]
    assert run.returncode != 0
    words = " ".join(output.split())
    print(words[-3000:])
    assert "local-ollama" in words
    assert "172.30.16.236:11434" in words
    assert "refused" in words


# --- Metis


@pytest.fixture(scope="module")
def metis_yaml() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(metis.check_output("cat /srv/metis/metis.yaml"))
    return document


def test_metis_ports_and_engines() -> None:
    for port, model in ((8000, "Qwen/Qwen2.5-14B-Instruct"), (8001, "intfloat/e5-small-v2")):
        status, text = curl(metis, f"http://localhost:{port}/v1/models", key=ENGINE_KEY)
        assert status == 200
        assert model in names(text)
        assert curl(metis, f"http://localhost:{port}/v1/models")[0] == 401
    shared = [metis.check_output(f"docker inspect --format '{{{{.HostConfig.ShmSize}}}}' vllm-{name}") for name in ("chat", "embedding")]
    assert shared == [str(32 << 30), str(16 << 30)]
    # Both cards are used, side by side.
    assert metis.check_output("docker exec vllm-chat nvidia-smi -L").count("GPU ") == 2
    assert "world_size=2" in metis.run("docker logs vllm-chat 2>&1").stdout


def test_metis_keys_are_in_no_command_line(metis_yaml: dict[str, Any]) -> None:
    processes = metis.check_output("ps -ww -A -o args")
    for secret in (
        ENGINE_KEY,
        metis_yaml["llm_provider"]["api_key"],
        (EPHEMERAL / "metis/secrets/master_key").read_text().strip(),
    ):
        assert secret not in processes


def test_metis_file(metis_yaml: dict[str, Any]) -> None:
    file = metis.file("/srv/metis/metis.yaml")
    assert (file.user, file.mode) == ("root", 0o600)
    url, key = f"http://{ADDRESSES['metis']}:8888/v1", (EPHEMERAL / "metis/secrets/client_keys/metis").read_text().strip()
    embeddings = {"code_embedding_model": "intfloat/e5-small-v2", "docs_embedding_model": "intfloat/e5-small-v2"}
    assert metis_yaml["llm_provider"] == {
        "name": "vllm",
        "base_url": url,
        "api_key": key,
        "model": "Qwen/Qwen2.5-14B-Instruct",
        **embeddings,
    }
    texts = {f"{kind}_extra_kwargs": {"check_embedding_ctx_length": False} for kind in ("code", "docs")}
    assert metis_yaml["embedding_provider"] == {"name": "vllm", "base_url": url, "api_key": key, **embeddings, **texts}
    assert metis_yaml["metis_engine"] == {"max_token_length": 31744, "embed_dim": 64, "doc_chunk_size": 448, "doc_chunk_overlap": 96}
    assert metis_yaml["query"] == {"model": "Qwen/Qwen2.5-14B-Instruct", "temperature": 0.0, "max_tokens": 1024}
    env = metis.file("/srv/metis/metis.env")
    assert (env.user, env.mode) == ("root", 0o600)
    assert metis.check_output("set -a; . /srv/metis/metis.env; echo $VLLM_API_KEY $OPENAI_BASE_URL") == f"{key} {url}"


def test_metis_chats_as_its_file_says(metis_yaml: dict[str, Any]) -> None:
    provider, query = metis_yaml["llm_provider"], metis_yaml["query"]
    url = f"{provider['base_url']}/chat/completions"
    body = {**query, "messages": HELLO["messages"]}
    assert content(requests.post(url, headers=bearer(provider["api_key"]), json=body, timeout=120)) == SAID
    assert requests.post(url, json=body, timeout=30).status_code == 401


@pytest.mark.parametrize("section", ["llm_provider", "embedding_provider"])
@pytest.mark.parametrize("model", ["code_embedding_model", "docs_embedding_model"])
def test_metis_embeds_as_its_file_says(metis_yaml: dict[str, Any], section: str, model: str) -> None:
    provider, engine = metis_yaml[section], metis_yaml["metis_engine"]
    url = f"{provider['base_url']}/embeddings"
    # One token is one character here. A chunk fits the model's context, as the file promises; one without its limit does not.
    chunk = {"model": provider[model], "input": "x" * engine["doc_chunk_size"]}
    reply = requests.post(url, headers=bearer(provider["api_key"]), json=chunk, timeout=120)
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["data"][0]["embedding"]) == engine["embed_dim"]
    assert requests.post(url, headers=bearer(provider["api_key"]), json={**chunk, "input": "x" * 1024}, timeout=120).status_code == 400
    assert requests.post(url, json=chunk, timeout=30).status_code == 401


@pytest.mark.parametrize("kind", ["code", "docs"])
def test_metis_gets_the_vectors_of_its_texts(metis_yaml: dict[str, Any], kind: str) -> None:
    """By the requests of its own client, recorded with the arguments that the file gives it."""
    recorded = json.loads((PROJECT / "tests/support/recordings/langchain_openai.json").read_text())
    provider = metis_yaml["embedding_provider"]
    assert provider[f"{kind}_extra_kwargs"] == recorded["as_written"]["arguments"]

    def vectors(body: dict[str, Any]) -> list[list[float]]:
        body = {**body, "model": provider[f"{kind}_embedding_model"]}
        reply = requests.post(f"{provider['base_url']}/embeddings", headers=bearer(provider["api_key"]), json=body, timeout=120)
        assert reply.status_code == 200, reply.text
        found = [entry["embedding"] for entry in reply.json()["data"]]
        return (
            [list(struct.unpack(f"<{len(raw) // 4}f", raw)) for raw in map(base64.b64decode, found)] if isinstance(found[0], str) else found
        )

    for request in recorded["as_written"]["requests"]:
        plain = vectors({"input": request["input"], "encoding_format": "float"})
        assert [pytest.approx(vector, abs=1e-5) for vector in plain] == vectors(request)
        assert len(plain[0]) == metis_yaml["metis_engine"]["embed_dim"]


# --- all of them


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, dict[str, Any], str]]:
    """Exit status, report and output of verify.yml for each example."""
    examples = ("crawl4ai", "metis", "chat-studio")
    folder = tmp_path_factory.mktemp("reports")
    runs = {name: playbook(name, "--extra-vars", f"verify_report_dir={folder / name}", "playbooks/verify.yml") for name in examples}
    output = {name: run.communicate(timeout=400)[0] for name, run in runs.items()}
    return {name: (run.returncode, json.loads((folder / name / "report.json").read_text()), output[name]) for name, run in runs.items()}


@pytest.mark.parametrize(
    ("example", "host", "model_names"),
    [
        ("crawl4ai", "gpu01", {"qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct"}),
        ("metis", "gpu01", {"Qwen/Qwen2.5-14B-Instruct", "intfloat/e5-small-v2"}),
        ("chat-studio", "gateway01", {"llama-2-7b-chat", "meta-llama/Llama-2-7b-chat-hf"}),
    ],
)
def test_verify_passes_from_the_host_and_from_the_clients_network(verified: Any, example: str, host: str, model_names: set[str]) -> None:
    status, report, output = verified[example]
    assert status == 0, output[-4000:]
    assert report["failed"] == 0
    assert [view["name"] for view in report["views"]] == [f"{host} (host)", f"{host} (clients network)"]
    for view in report["views"]:
        assert model_names <= {row["name"] for row in view["rows"] if row["ok"]}
        # The server that is down is told.
        assert {row["model"] for row in view["rows"] if not row["ok"]} == ({"llama3.2:3b"} if example == "chat-studio" else set())
