# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the example inventories render, read by the real `vllm serve` parser and the real LiteLLM loader.

Needs Docker and the test bed's images (`python tests/testbed/bed.py up`): `pytest tests/examples`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from unit.inventories.test_examples import EXAMPLES, plan_of

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _litellm
from ansible_collections.llmops.gpu_inference.plugins.module_utils._vllm import container_unit

ROOT = Path(__file__).parents[2]
VLLM = os.environ.get("VLLM_IMAGE", "gpu-inference-testbed/vllm:v0.32.0-cpu")
LITELLM = os.environ.get("LITELLM_IMAGE", "gpu-inference-testbed/litellm:v1.106.9")

# One process for all configurations: importing vLLM takes longer than parsing a thousand of them.
PARSE_VLLM = """
import glob, json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser(prog="vllm")
make_arg_parser(parser.add_subparsers(dest="subparser").add_parser("serve"))
found = {}
for path in sorted(glob.glob("/configs/*.yaml")):
    sys.argv = ["vllm", "serve", "--config", path]
    try:
        arguments = parser.parse_args()
        found[path] = {"model": arguments.model, "names": arguments.served_model_name}
    except SystemExit as stop:
        found[path] = {"error": str(stop)}
print(json.dumps(found))
"""


def needs(image: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "image", "inspect", image], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no Docker with the image {image}")


def in_container(image: str, folder: Path, *command: str, environment: dict[str, str] | None = None) -> list[str]:
    variables = [part for name, value in (environment or {}).items() for part in ("--env", f"{name}={value}")]
    entrypoint, *arguments = command
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--volume", f"{folder}:/configs:ro", *variables]
        + ["--entrypoint", entrypoint, image, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout.splitlines()


def test_vllm_accepts_every_engine_of_the_examples(tmp_path: Path) -> None:
    needs(VLLM)
    expected: dict[str, Any] = {}
    for example in EXAMPLES:
        for host in plan_of(example)["hosts"].values():
            for instance in host["vllm"]:
                name = f"{example}-{instance['name']}.yaml"
                (tmp_path / name).write_text(container_unit(instance)["files"]["config.yaml"], encoding="utf-8")
                expected[f"/configs/{name}"] = {"model": instance["model"], "names": instance["served_model_names"]}
    assert json.loads(in_container(VLLM, tmp_path, "python3", "-c", PARSE_VLLM)[-1]) == expected


@pytest.mark.parametrize("example", EXAMPLES)
def test_litellm_loads_every_gateway_of_the_examples(tmp_path: Path, example: str) -> None:
    needs(LITELLM)
    gateway = plan_of(example)["gateway"]
    config = _litellm.build_config(gateway, gateway["hosts"][0])
    for path in (ROOT / "roles" / "litellm" / "files").glob("*.py"):
        shutil.copy(path, tmp_path)
    (tmp_path / "config.yaml").write_text(_litellm.config_text(config), encoding="utf-8")
    (tmp_path / "expected.json").write_text(json.dumps(_litellm.expected_models(config)), encoding="utf-8")
    (tmp_path / "policy.json").write_text(json.dumps(_litellm.build_policy(gateway)), encoding="utf-8")
    environment = {
        **_litellm.BASE_ENVIRONMENT,
        "PYTHONPATH": "/configs",
        **dict.fromkeys(_litellm.referenced_variables(config), "checking"),
    }
    arguments = ("/configs/check_config.py", "/configs/config.yaml", "/configs/expected.json")
    verdict = json.loads(in_container(LITELLM, tmp_path, "python3", *arguments, environment=environment)[-1])
    assert verdict["problems"] == []
    assert verdict["ok"]
