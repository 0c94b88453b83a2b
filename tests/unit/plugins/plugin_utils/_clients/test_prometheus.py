# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus reads, read by Debian's promtool; without it those tests are skipped."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.inventories import host, one, service
from support.programs import installed
from support.repository import ROOT

from ansible_collections.llmops.gpu_inference.plugins.module_utils._clients import MARKER
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.base import ClientRenderError
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.checks import plan_findings
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.prometheus_rules import ALERTS, THRESHOLDS, Alert, rules
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.prometheus_targets import metrics_targets, target_of
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._clients.render import gateway_endpoints, render_client_files
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._plan.plan import build_plan

KEY = "sk-prometheus-0123456789abcdef"
ENTRY: dict[str, Any] = {"type": "prometheus", "path": "/etc/prometheus/llmops.yml", "owner": "prometheus"}


def render(entry: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return render_client_files([entry], gateway_url="http://192.0.2.10:8400", models=[], api_keys={"prometheus": KEY}, **options)


def promtool(*argv: str, folder: Path) -> str:
    done = subprocess.run([installed("promtool"), *argv], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- files ---------------------------------------------------------------------------------------------------------


def test_four_files_and_the_key_in_one_of_them() -> None:
    files = render(ENTRY)
    assert [(file["path"], file.get("mode"), file["merge"], file["owner"], KEY in file["content"]) for file in files] == [
        ("/etc/prometheus/llmops.yml", None, "none", "prometheus", False),
        ("/etc/prometheus/llmops.targets.yml", "0644", "none", "prometheus", False),
        ("/etc/prometheus/llmops.rules.yml", "0644", "none", "prometheus", False),
        ("/etc/prometheus/llmops.key", "0600", "whole", "prometheus", True),
    ]
    assert all(file["content"].startswith(MARKER) for file in files[:3])
    assert files[3]["content"] == f"{KEY}\n"
    assert yaml.safe_load(files[0]["content"])["scrape_configs"][0] == {
        "job_name": "llmops-gateway",
        "authorization": {"credentials_file": "/etc/prometheus/llmops.key"},
        "file_sd_configs": [{"files": ["/etc/prometheus/llmops.targets.yml"]}],
        "relabel_configs": [{"source_labels": ["__llmops_job"], "regex": "gateway", "action": "keep"}],
    }
    jobs = {job["job_name"]: job for job in yaml.safe_load(files[0]["content"])["scrape_configs"]}
    assert [name for name, job in jobs.items() if "authorization" in job] == ["llmops-gateway"]
    assert [name for name, job in jobs.items() if "metric_relabel_configs" in job] == ["llmops-node"]
    assert list(jobs) == ["llmops-gateway", "llmops-node", "llmops-engine"]
    assert yaml.safe_load(files[1]["content"]) == [
        {
            "targets": ["192.0.2.10:8400"],
            "labels": {"__llmops_job": "gateway", "__scheme__": "http", "__metrics_path__": "/usage/metrics"},
        }
    ]


def test_an_authority_of_ones_own_is_for_the_gateway() -> None:
    jobs = yaml.safe_load(render({**ENTRY, "ca_file": "/etc/prometheus/ca.pem"})[0]["content"])["scrape_configs"]
    told = {"ca_file": "/etc/prometheus/ca.pem"}
    assert {job["job_name"]: job.get("tls_config") for job in jobs} == {"llmops-gateway": told, "llmops-node": None, "llmops-engine": None}


def test_an_authority_of_ours_is_known_by_itself() -> None:
    def told(**options: Any) -> Any:
        jobs = yaml.safe_load(render({**ENTRY, **options}, ca="PEM", controller_dir="/c")[0]["content"])["scrape_configs"]
        return next(job.get("tls_config") for job in jobs if job["job_name"] == "llmops-gateway")

    assert told() == {"ca_file": "/etc/gpu-inference/gateway-ca-bundle.pem"}
    assert told(location="controller", path="p.yml") == {"ca_file": "gateway-ca-bundle.pem"}
    assert told(ca_file="/etc/prometheus/ca.pem") == {"ca_file": "/etc/prometheus/ca.pem"}


def test_a_mode_is_for_the_file_of_jobs() -> None:
    assert [file["mode"] for file in render({**ENTRY, "mode": "0640"})] == ["0640", "0644", "0644", "0600"]


def test_files_for_another_machine_find_each_other_there() -> None:
    text = render({"type": "prometheus", "path": "prometheus.yml", "location": "controller"}, controller_dir="/srv")[0]["content"]
    assert "/srv" not in text
    assert "credentials_file: prometheus.key" in text
    assert "- prometheus.targets.yml" in text


def test_its_key_is_not_asked_for_models() -> None:
    assert gateway_endpoints(render(ENTRY)) == []


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([{"type": "prometheus", "path": "/a.yml"}], ["clients_files[0].owner: say as whom Prometheus runs"]),
        (
            [ENTRY, {"type": "openai", "path": "/etc/prometheus/llmops.key"}],
            ["clients_files[1].path: /etc/prometheus/llmops.key is already written by clients_files[0]"],
        ),
        ([{**ENTRY, "path": "/a.key"}], ["clients_files[0].path: /a.key is already written by clients_files[0]"]),
        (
            [{**ENTRY, "thresholds": {"failed_percent": 0}}],
            ["clients_files[0].thresholds.failed_percent: must be a whole number from 1 to"],
        ),
        ([{**ENTRY, "thresholds": {"failed": 3}}], ["clients_files[0].thresholds.failed: unknown key"]),
    ],
)
def test_mistakes(entries: list[dict[str, Any]], told: list[str]) -> None:
    with pytest.raises(ClientRenderError) as caught:
        render_client_files(entries, gateway_url="http://h:1", models=[], api_key=KEY)
    for finding, beginning in zip(caught.value.findings, told, strict=True):
        assert finding.startswith(beginning), finding


# --- of a plan -----------------------------------------------------------------------------------------------------


def plan(*entries: dict[str, Any], second: bool = False, **gateway: Any) -> dict[str, Any]:
    own = {"client_keys": {"prometheus": {"metrics": True}, "studio": None}, **gateway}
    inventory = one(service(), inference_gateway=own)
    if second:
        inventory["hosts"]["node2"] = host("gateways", inference_gateway=own, ansible_host="192.0.2.12")
    inventory["hosts"]["desk"] = host("inference_clients", inference_clients_config=list(entries))
    return build_plan(inventory)


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        ({}, [("http", "node1:8400", "/usage/metrics", "node1")]),
        ({"second": True}, [("http", "node1:8400", "/usage/metrics", "node1"), ("http", "192.0.2.12:8400", "/usage/metrics", "node2")]),
        ({"public_url": "https://llm.example/ai"}, [("https", "llm.example:443", "/ai/usage/metrics", "node1")]),
        ({"public_url": "http://[2001:db8::1]", "bind": "127.0.0.1"}, [("http", "[2001:db8::1]:80", "/usage/metrics", "node1")]),
    ],
)
def test_each_gateway_is_a_target(gateway: dict[str, Any], expected: list[tuple[str, ...]]) -> None:
    names = ("__scheme__", "__metrics_path__", "host")
    found = [(target["targets"], *(target["labels"][name] for name in names)) for target in metrics_targets(plan(**gateway))]
    assert found == [([address], scheme, path, name) for scheme, address, path, name in expected]


def test_without_a_gateway_there_is_nothing_to_ask() -> None:
    assert metrics_targets({"gateway": None, "hosts": {}}) == []


def test_engines_are_targets_for_their_own_host() -> None:
    rows = [
        {"host": "a", "service": "chat", "engine": "vllm", "port": 8070},
        {"host": "a", "service": "small", "engine": "ollama", "port": 11434},
        {"host": "a", "service": "tei", "engine": "container", "port": 8072},
        {"host": "b", "service": "ocr", "engine": "llama_cpp", "port": 8070},
    ]
    planned: dict[str, Any] = {"gateway": None, "hosts": {}, "table": rows}
    engine = {"__llmops_job": "engine", "__scheme__": "http", "__metrics_path__": "/metrics"}
    assert metrics_targets(planned, "a") == [{"targets": ["127.0.0.1:8070"], "labels": {**engine, "host": "a", "service": "chat"}}]
    assert [target["labels"]["service"] for target in metrics_targets(planned, "b")] == ["ocr"]
    assert metrics_targets(planned) == metrics_targets(planned, "c") == []
    gateway = target_of("gateway", "http://192.0.2.10:8400")
    told = {"targets": [gateway, *metrics_targets(planned, "a")]}
    assert yaml.safe_load(render(ENTRY, **told)[1]["content"]) == told["targets"]
    elsewhere = render({"type": "prometheus", "path": "/srv/prometheus.yml", "location": "controller"}, **told)
    assert yaml.safe_load(elsewhere[1]["content"]) == [gateway]


def test_exporters_of_hosts_are_targets() -> None:
    metrics = {"textfile_directory": "/x", "exporter_port": 9100}
    hosts = {"a": {"address": "192.0.2.7", "metrics": metrics}, "b": {"address": "2001:db8::7", "metrics": metrics}}
    silent = {"c": {"address": "192.0.2.9", "metrics": {"textfile_directory": "/x"}}, "d": {"address": "192.0.2.10"}}
    found = metrics_targets({"gateway": None, "hosts": {**hosts, **silent}})
    place = {"__llmops_job": "node", "__scheme__": "http", "__metrics_path__": "/metrics"}
    assert found == [
        {"targets": ["192.0.2.7:9100"], "labels": {**place, "host": "a"}},
        {"targets": ["[2001:db8::7]:9100"], "labels": {**place, "host": "b"}},
    ]


def test_a_key_is_for_models_or_for_numbers() -> None:
    entries = [
        {**ENTRY, "key": "studio"},
        {"type": "openai", "path": "/b", "key": "prometheus"},
        {**ENTRY, "path": "/c", "key": "prometheus"},
    ]
    assert plan_findings(plan(*entries)) == [
        (
            "inference_clients_config[0].key (host desk)",
            "the key of 'studio' asks models and reads no numbers; give Prometheus one of its own, "
            "inference_gateway.client_keys: {prometheus: {metrics: true}}",
        ),
        (
            "inference_clients_config[1].key (host desk)",
            "the key of 'prometheus' reads the gateway's numbers and asks no model (metrics: true); take another client of the gateway",
        ),
    ]


# --- as Prometheus reads them --------------------------------------------------------------------------------------


def test_promtool_takes_all_of_it(tmp_path: Path) -> None:
    for file in render({**ENTRY, "path": f"{tmp_path}/llmops.yml"}):
        Path(file["path"]).write_text(file["content"], encoding="utf-8")
    # A file of jobs is a whole configuration as well.
    assert "SUCCESS" in promtool("check", "config", "llmops.yml", folder=tmp_path)
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "llmops.rules.yml", folder=tmp_path)


def expected(alert: Alert, value: str = "", **labels: str) -> dict[str, Any]:
    """An alert with its texts as Prometheus fills them in."""

    def filled(text: str) -> str:
        named = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
        return re.sub(r"\{\{ \$value [^}]*\}\}", value, named)

    texts = {"summary": filled(alert.summary), "description": filled(alert.description)}
    return {"exp_labels": {"severity": alert.severity, **labels}, "exp_annotations": texts}


@pytest.mark.parametrize("alert", ALERTS, ids=[alert.name for alert in ALERTS])
def test_an_alert_comes_when_it_should_and_not_before(alert: Alert, tmp_path: Path) -> None:
    cases = yaml.safe_load((Path(__file__).parent / "prometheus_alerts.yml").read_text(encoding="utf-8"))[alert.name]
    assert {bool(case["alerts"]) for case in cases} == {True, False}
    tests = [
        {
            "name": case["when"],
            "interval": "1m",
            "input_series": case["series"],
            "alert_rule_test": [
                {"alertname": alert.name, "eval_time": case["after"], "exp_alerts": [expected(alert, **one) for one in case["alerts"]]}
            ],
        }
        for case in cases
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules({})), encoding="utf-8")
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}), encoding="utf-8")
    promtool("test", "rules", "test.yml", folder=tmp_path)


def test_thresholds_are_in_the_rules() -> None:
    text = yaml.safe_dump(rules(dict.fromkeys(THRESHOLDS, 77)), width=1000)
    assert text.count("> 77") + text.count("< 77") + text.count("77m") == len(THRESHOLDS)


def test_the_page_has_every_threshold_and_alert() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for name, bound in THRESHOLDS.items():
        assert f"| `{name}` | {bound.default} | {bound.meaning}" in page
    for alert in ALERTS:
        assert f"| `{alert.name}` | {alert.severity} |" in page
