# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan, and what is made of it."""

from __future__ import annotations

from mutations.feature import UNIT, UTILS, Feature

FEATURES = [
    Feature(
        "memory is not given out twice",
        "whatever is asked fits",
        "plugins/plugin_utils/_plan/memory.py",
        "return all(free is None or amount <= free + _TOLERANCE",
        "return all(True",
        "tests/unit/plugins/plugin_utils/_plan/test_memory.py::test_problems_name_services_and_gib",
        "not enough values to unpack (expected 1, got 0)",
    ),
    Feature(
        "engines start one after another on a GPU",
        "the launcher takes no lock",
        f"{UTILS}/_gpu_turn.py",
        "        if not self.locks:\n            return\n        began",
        "        if True:\n            return\n        began",
        f"{UNIT}/test__launcher_run.py::test_the_gpu_is_waited_for",
        "launcher: container id-of-vllm-c started",
    ),
    Feature(
        "a misspelt `inference_*` variable is refused",
        "unknown names are not collected",
        "plugins/plugin_utils/_plan/schema.py",
        "variable not in VARIABLES and variable not in FACTS",
        "False",
        "tests/unit/plugins/plugin_utils/_plan/test_plan.py::test_mistakes",
        "DID NOT RAISE PlanError",
    ),
    Feature(
        "a misspelt variable of a role is refused",
        "nobody looks at their names",
        "plugins/action/check_role.py",
        "            if misspelt:\n",
        "            if False:\n",
        "tests/unit/roles/test_variable_names.py::test_a_misspelt_variable_ends_the_play",
        "failed=0",
    ),
    Feature(
        "a variable of a role that its argument specs do not take is refused before any host is changed",
        "the plan does not look at them",
        "plugins/action/plan.py",
        '        unreadable += role_findings(inventory["hosts"], variables["hostvars"])\n',
        "",
        "tests/unit/plugins/action/test_plan.py::test_variables_of_roles_are_refused_with_the_rest",
        "The inventory has 1 mistake; no host was changed.",
    ),
    Feature(
        "a host that is away keeps its routes",
        "hosts outside the play do not count",
        "plugins/plugin_utils/_plan/schema.py",
        '    for name, data in (inventory.get("hosts") or {}).items():\n        variables',
        '    for name, data in (inventory.get("hosts") or {}).items():\n        if name not in in_play: continue\n        variables',
        "tests/unit/plugins/plugin_utils/_plan/test_plan.py::test_routes_come_from_all_declared_hosts",
        "the gateway would have no model to serve",
    ),
    Feature(
        "a LoRA adapter is a model at the gateway on all backends of its model",
        "services announce their model alone",
        "plugins/plugin_utils/_plan/host.py",
        "for name, place in adapters_of(task.variant).items():",
        "for name, place in ():",
        "tests/unit/plugins/plugin_utils/_plan/test_adapters.py::test_an_adapter_is_a_model_on_all_backends_of_its_model",
        "['chat'] == ['chat', 'sql'",
    ),
    Feature(
        "the gateway's configuration is read by LiteLLM itself before it counts",
        "what LiteLLM made of it is not compared with what was meant",
        "roles/litellm/files/check_config.py",
        "    problems: list[str] = []\n    missing = sorted(",
        "    return []\n    missing = sorted(",
        "tests/real/test_configurations.py::test_what_is_broken_is_refused_with_its_reason[LiteLLM does not serve]",
        "assert not True",
    ),
    Feature(
        "a node forwards nothing without the key",
        "nginx does not compare it",
        "roles/node_proxy/templates/nginx.conf.j2",
        "if ($key_{{ service.port }} = 0) {",
        "if ($key_{{ service.port }} = 2) {",
        "tests/unit/roles/test_node_proxy.py::test_the_key_is_checked",
        "assert 200 == 401",
    ),
    Feature(
        "a coding agent gets no model whose tool calls vLLM does not pass on",
        "the arguments of its engine are not looked at",
        "plugins/plugin_utils/_engines/vllm.py",
        '        return tools_trouble(instance["model"], instance["engine_args"])\n',
        "        return None\n",
        "tests/unit/plugins/plugin_utils/_clients/test_agents.py::test_a_model_without_tool_parser_is_refused_with_the_flags_of_its_family[codex]",
        "not enough values to unpack",
    ),
    Feature(
        "a client program is told of the context that every server of its model takes",
        "that of the largest is told",
        "plugins/plugin_utils/_clients/base.py",
        "else min(lengths)",
        "else max(lengths)",
        "tests/unit/plugins/plugin_utils/_clients/test_agents.py::test_the_window_is_that_of_the_smallest_server[lengths0-40960]",
        "assert 65536 == 40960",
    ),
]
