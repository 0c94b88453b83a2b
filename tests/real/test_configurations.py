# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every configuration that we render, read by the program it is for: vLLM's own parser, LiteLLM's own loader.

Needs the test bed's images: `make real`. Importing vLLM or LiteLLM takes longer than reading a thousand configurations, so one
process of each reads them all.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.containers import LITELLM, VLLM, docker_run_python
from unit.inventories.test_examples import EXAMPLES, plan_of

from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._engines.vllm_unit import container_unit
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.config import build_config, config_text, expected_models
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.policy import build_policy
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.references import referenced_variables
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._gateway.unit import BASE_ENVIRONMENT

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/unit/plugins/plugin_utils/_gateway/golden"
FILES = ROOT / "roles/litellm/files"

Change = Callable[[dict[str, Any]], None]
Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # config.yaml, expected.json, policy.json

PARSE_VLLM = """
import glob, json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser(prog="vllm")
make_arg_parser(parser.add_subparsers(dest="subparser").add_parser("serve"))
found = {}
for path in sorted(glob.glob("*.yaml")):
    sys.argv = ["vllm", "serve", "--config", path]
    try:
        arguments = parser.parse_args()
        adapters = {module.name: module.path for module in arguments.lora_modules or ()}
        assert bool(arguments.enable_lora) == bool(adapters), path
        found[path] = {"model": arguments.model, "names": arguments.served_model_name, "adapters": adapters}
    except SystemExit as stop:
        found[path] = {"error": str(stop)}
print(json.dumps(found))
"""

# Each case in a fork: the loader keeps what it has read in module variables.
CHECK_LITELLM = """
import glob, json, os, sys
import litellm.proxy.proxy_cli, litellm.proxy.proxy_server
for folder in sorted(glob.glob("*/")):
    if os.fork() == 0:
        os.chdir(folder)
        sys.path.insert(0, os.getcwd())
        os.environ.update(json.load(open("environment.json")))
        sys.stdout = open("verdict.json", "w")
        import check_config
        code = check_config.main(["config.yaml", "expected.json"])
        sys.stdout.flush()
        os._exit(code)
    os.wait()
"""


def test_vllm_accepts_every_engine_of_the_examples_and_adapters(tmp_path: Path) -> None:
    expected: dict[str, Any] = {}
    for example in EXAMPLES:
        for host in plan_of(example)["hosts"].values():
            for instance in host["vllm"]:
                name = f"{example}-{instance['name']}.yaml"
                (tmp_path / name).write_text(container_unit(instance)["files"]["config.yaml"], encoding="utf-8")
                expected[name] = {"model": instance["model"], "names": instance["served_model_names"], "adapters": {}}
    for number, arguments in enumerate(({}, {"max_lora_rank": 64}, {"--max-loras": 1}, {"max-cpu-loras": 3, "enable_lora": True})):
        adapters = {"sql": "/adapters/sql", "org/b": "org/b", "c": "/adapters/a b, c=d"}
        instance = {"name": "x", "model": "org/x", "image": "i", "port": 1, "adapters": adapters, "engine_args": arguments}
        (tmp_path / f"adapters-{number}.yaml").write_text(container_unit(instance)["files"]["config.yaml"], encoding="utf-8")
        expected[f"adapters-{number}.yaml"] = {"model": "org/x", "names": ["x"], "adapters": adapters}
    assert json.loads(docker_run_python(VLLM, PARSE_VLLM, tmp_path).splitlines()[-1]) == expected


def golden(name: str) -> Case:
    folder = GOLDEN / name
    config, expected, policy = (yaml.safe_load((folder / file).read_text()) for file in ("config.yaml", "expected.json", "policy.json"))
    if "prometheus" in config["litellm_settings"].get("callbacks", ()):
        # Its package is an extra that the published image has and the test bed's lacks.
        config["litellm_settings"]["callbacks"].remove("prometheus")
    return config, expected, policy


def rendered(example: str) -> Case:
    gateway = plan_of(example)["gateway"]
    config = build_config(gateway, gateway["hosts"][0])
    return config, expected_models(config), build_policy(gateway)


def set_in(*path: Any) -> Change:
    """Put the last item where the others lead."""

    def change(config: dict[str, Any]) -> None:
        *way, key, value = path
        node: Any = config
        for step in way:
            node = node[step]
        node[key] = value

    return change


def drop_model(config: dict[str, Any]) -> None:
    del config["model_list"][0]["litellm_params"]["model"]


BROKEN: list[tuple[Change, str]] = [
    (set_in("model_list", 0, "litellm_params", "model", "hosted_vlm/chat"), "LiteLLM does not serve"),
    (drop_model, "model_list[0] (chat) has no litellm_params.model"),
    (set_in("model_list", None), "has no model_list"),
    (set_in("router_settings", "routing_strategy", "fastest"), "Invalid routing_strategy: 'fastest'"),
    (set_in("router_settings", "num_retry", 1), "router_settings.num_retry is not a setting of this LiteLLM; num_retries is"),
    (set_in("general_settings", "cancel_on_disconect", True), "cancel_on_disconnect is"),
    (set_in("litellm_settings", "drop_param", True), "drop_params is"),
    (set_in("litellm_settings", "callbacks", ["nothere.x"]), "Could not import x from nothere"),
    (set_in("router_settings", "model_group_alias", "Z", "nope"), "points to 'nope'"),
    (set_in("router_settings", "fallbacks", [{"asr": ["nope"]}]), "names 'nope'"),
    (set_in("general_settings", "custom_auth", "gateway_auth.nothing"), "nothing"),
]
GOOD: dict[str, tuple[Callable[[str], Case], str]] = {}
GOOD |= {f"golden-{path.name}": (golden, path.name) for path in GOLDEN.iterdir()}
GOOD |= {f"example-{name}": (rendered, name) for name in EXAMPLES}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    cases = {name: make(argument) for name, (make, argument) in GOOD.items()}
    for number, (change, _reason) in enumerate(BROKEN):
        config, expected, policy = golden("one_card")
        broken = copy.deepcopy(config)
        change(broken)
        cases[f"broken-{number}"] = (broken, expected, policy)
    top = tmp_path_factory.mktemp("configurations")
    for name, (config, expected, policy) in cases.items():
        folder = top / name
        folder.mkdir()
        for path in FILES.glob("*.py"):
            shutil.copy(path, folder)
        variables = dict.fromkeys(referenced_variables(config), "checking")
        texts = {"expected.json": expected, "policy.json": policy, "environment.json": variables}
        for file, content in texts.items():
            (folder / file).write_text(json.dumps(content))
        (folder / "config.yaml").write_text(config_text(config))
    docker_run_python(LITELLM, CHECK_LITELLM, top, BASE_ENVIRONMENT)
    return {name: json.loads((top / name / "verdict.json").read_text().splitlines()[-1]) for name in cases}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_litellm_loads_what_is_rendered(verdicts: dict[str, dict[str, Any]], name: str) -> None:
    make, argument = GOOD[name]
    _config, expected, _policy = make(argument)
    verdict = verdicts[name]
    assert verdict["problems"] == []
    assert (verdict["names"], verdict["count"], verdict["ok"]) == (expected["names"], expected["count"], True)


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=[reason for _change, reason in BROKEN])
def test_what_is_broken_is_refused_with_its_reason(verdicts: dict[str, dict[str, Any]], number: int) -> None:
    verdict = verdicts[f"broken-{number}"]
    assert not verdict["ok"]
    assert any(BROKEN[number][1] in problem for problem in verdict["problems"]), verdict["problems"]
