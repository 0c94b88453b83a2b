# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection promises, and for each promise the edit that breaks it with the test that notices.

test_features.py tries them all; docs/proven.md has them as a table: `make docs`.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "proven.md"
UTILS = "plugins/module_utils"
UNIT = "tests/unit/plugins/module_utils"


@dataclass(frozen=True)
class Feature:
    promise: str
    removed: str
    file: str
    old: str  # is in the file exactly once
    new: str
    test: str
    told: str  # a part of what the failing test prints


FEATURES = [
    Feature(
        "one client's load leaves room for another",
        "a client gets whatever is free",
        "roles/litellm/files/gateway_ledger.py",
        "free >= 0 and (mine == 0 or whatever_is_free or mine + amount <= free)",
        "free >= 0",
        "tests/unit/roles/litellm/test_gateway_ledger.py::test_twenty_bodies_of_one_client_leave_room_for_another",
        "== ['in work'",
    ),
    Feature(
        "a body is limited before it is read",
        "its declared length is not looked at",
        "roles/litellm/files/gateway_admission.py",
        "if declared is not None and declared > limits.request:",
        "if False:",
        "tests/unit/roles/litellm/test_gateway_admission.py::test_a_body_that_is_too_large",
        "test_a_body_that_is_too_large[False-0]",
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
        "a process of before is never taken for the new one",
        "`endpoint_ready` believes any good answer",
        f"{UTILS}/_endpoint_ready.py",
        "        if self.view is None:\n            return True\n",
        "        return True\n",
        f"{UNIT}/test__endpoint_ready.py::test_the_state_file_of_an_earlier_process_proves_nothing",
        "assert 0.0 >= 7",
    ),
    Feature(
        "a server that runs another configuration is not ready",
        "the config hash is not compared",
        f"{UTILS}/_ready_judge.py",
        "state.config_hash != target.config_hash)",
        "False)",
        f"{UNIT}/test__endpoint_ready.py::test_another_configuration_is_never_ready",
        "(True, None) == (False, 'stale_server')",
    ),
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
        "the role asserts nothing",
        "roles/variable_names/tasks/main.yml",
        "that: __variable_names_misspelt | length == 0",
        "that: true",
        "tests/unit/roles/test_variable_names.py::test_a_misspelt_variable_ends_the_play",
        "failed=0",
    ),
    Feature(
        "keys lie in files that only root can read",
        "the env file gets the mode of the others",
        f"{UTILS}/_unit_folder.py",
        "return 0o600 if name == ENV_FILE else 0o644",
        "return 0o644",
        f"{UNIT}/test__container_units.py::test_first_run_then_nothing",
        "'0o644' != '0o600'",
    ),
    Feature(
        "keys on the controller lie in files that only the user can read",
        "the file is left as its creator made it",
        "plugins/plugin_utils/_secrets/store.py",
        "        if self.write and stat.S_IMODE(file.stat().st_mode) != 0o600:\n            file.chmod(0o600)\n",
        "",
        "tests/unit/plugins/plugin_utils/_secrets/test_store.py::test_a_file_that_others_may_read_is_closed",
        "assert 420 == 384",
    ),
    Feature(
        "no key shows in a diff",
        "values are shown as they are",
        f"{UTILS}/_unit_diff.py",
        "return HIDDEN + mark if name in new or name in (old or ()) else value",
        "return value",
        f"{UNIT}/test__container_units.py::test_the_diff_hides_secrets",
        "VLLM_API_KEY=sk-a-canary-that-must-not-be-seen",
    ),
    Feature(
        "no key shows in the journal",
        "the engine's lines are copied as they come",
        f"{UTILS}/_container_follow.py",
        'redact(line.decode("utf-8", "replace").rstrip("\\n"), life.secrets)',
        'line.decode("utf-8", "replace").rstrip("\\n")',
        f"{UNIT}/test__launcher_run.py::test_a_good_life",
        "'key-0123456789-engine' is contained here",
    ),
    Feature(
        "no key shows in the log lines that a failure reports",
        "the state file gets them as they are",
        f"{UTILS}/_launcher_state.py",
        '"log_lines": [redact(line, secrets) for line in diagnosis.log_lines]',
        '"log_lines": list(diagnosis.log_lines)',
        f"{UNIT}/test__launcher_run.py::test_a_failed_download_tells_no_key",
        "['hub: 401 for key-0123456789-engine']",
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
        "an engine's new arguments are read by the engine itself before the old one stops",
        "the result of the check is not looked at",
        f"{UTILS}/_unit_trial.py",
        "            if ran.rc == 0:\n                continue\n            lines = ",
        "            continue\n            lines = ",
        f"{UNIT}/test__container_units.py::test_what_the_image_refuses_goes_on_as_it_was",
        "assert [] == ['vllm/chat:",
    ),
    Feature(
        "what Docker refuses is found while the old container serves",
        "the result of the trial is not looked at",
        f"{UTILS}/_unit_trial.py",
        "            if not told:\n                continue\n",
        "            continue\n",
        f"{UNIT}/test__container_units.py::test_what_docker_refuses_leaves_everything_as_it_was",
        "IndexError: list index out of range",
    ),
    Feature(
        "what leaves a host stays until what comes can start",
        "it goes at once",
        f"{UTILS}/_unit_changes.py",
        "        if change.leaves and change.serves:\n",
        "        if False:\n",
        f"{UNIT}/test__container_units.py::test_what_leaves_stays_until_all_that_comes_can_start",
        "IndexError: list index out of range",
    ),
    Feature(
        "what has served is never given up",
        "the record is not read",
        f"{UTILS}/_launch_rules.py",
        "    if served:\n",
        "    if False:\n",
        f"{UNIT}/test__launch_rules.py::test_what_has_served_is_never_given_up",
        "(<Cause.BAD_F..._flag'>, True) == (<Cause.BAD_F...flag'>, False)",
    ),
    Feature(
        "an argument of Docker is refused in every spelling",
        "one-letter flags are not read",
        f"{UTILS}/_docker_flags.py",
        "        name = SHORT.get(letter)\n",
        "        name = SHORT.get(letter, 'init')\n        return 1\n",
        f"{UNIT}/test__docker_flags.py::test_what_belongs_to_the_collection_is_refused_however_it_is_spelt",
        "assert [2] == [1]",
    ),
    Feature(
        "a run without changes restarts nothing",
        "a container that runs as wanted is restarted all the same",
        f"{UTILS}/_unit_decision.py",
        'if outdated else Decision(KEEP, "runs as wanted")',
        'if outdated else Decision(RESTART, "runs as wanted")',
        f"{UNIT}/test__container_units.py::test_cost_of_no_change_does_not_grow",
        "restarted=['vllm/chat0', 'vllm/chat1'",
    ),
    Feature(
        "a changed configuration restarts its container",
        "the config hash of the running container is not compared",
        f"{UTILS}/_unit_decision.py",
        "right = container is not None and container.running and container.config_hash == wanted.config_hash",
        "right = container is not None and container.running",
        f"{UNIT}/test__container_units.py::test_decide",
        "assert 'keep' == 'restart'",
    ),
    Feature(
        "what somebody else made is never removed",
        "folders without our marker count as ours",
        f"{UTILS}/_unit_strays.py",
        "            if folder.owned:\n",
        "            if folder.exists:\n",
        f"{UNIT}/test__container_units.py::test_foreign_folders_and_containers_stay",
        "removed=['vllm/empty', 'vllm/mine']",
    ),
    Feature(
        "check mode changes nothing",
        "the module carries out what it only should foresee",
        f"{UTILS}/_container_units.py",
        "if report.changed and not self.settings.check_mode:",
        "if report.changed:",
        f"{UNIT}/test__container_units.py::test_check_mode_predicts_on_a_bare_host",
        "systemctl start --no-block -- failed",
    ),
    Feature(
        "a server with another model is called `wrong_model`",
        "any model is good enough",
        f"{UTILS}/_probe.py",
        'found = [one for one in self.models if one == wanted or one == f"{wanted}:latest"]',
        "found = list(self.models)",
        f"{UNIT}/test__probe.py::test_each_fault_has_its_cause",
        "'model' != 'health'",
    ),
    Feature(
        "https spoken to an http port is called `tls_mismatch`",
        "any failed handshake is a refused connection",
        f"{UTILS}/_probe.py",
        'return TransportError("tls_mismatch", f"the server does not speak TLS ({one.reason or one})", True)',
        'return TransportError("refused", str(one))',
        f"{UNIT}/test__probe.py::test_https_spoken_to_plain_http",
        "('refused', False) == ('tls_mismatch', True)",
    ),
    Feature(
        "the wait ends soon after the cause is known",
        "a launcher's failure is not looked at",
        f"{UTILS}/_ready_judge.py",
        '    if state is not None and state.phase == "failed":\n',
        "    if False:\n",
        f"{UNIT}/test__endpoint_ready.py::test_a_failed_unit_ends_the_wait_at_once",
        "assert 900.0 <= 5.1",
    ),
    Feature(
        "every alias is a model at the gateway",
        "the router gets no aliases",
        "plugins/plugin_utils/_gateway/settings.py",
        '        router["model_group_alias"] = dict(aliases)\n',
        "        pass\n",
        "tests/real/test_gateway.py::test_every_name_is_listed",
        "Extra items in the right set",
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
        "keys change while the gateway serves",
        "their file is read once",
        "roles/litellm/files/gateway_keys.py",
        "if seen != self._seen:",
        "if self._seen is None:",
        "tests/unit/roles/litellm/test_gateway_keys.py::test_a_key_is_good_from_the_moment_the_file_is_replaced",
        "('alice', None) == ('alice', 'alice')",
    ),
    Feature(
        "a new key costs the gateway no restart",
        "keys of engines are part of its environment",
        "plugins/plugin_utils/_gateway/live.py",
        "    live = {variable for variable in named if variable in environment and everywhere.count(variable) == named.count(variable)}",
        "    live = set()",
        "tests/unit/plugins/plugin_utils/_gateway/test_unit.py::test_new_keys_make_no_other_container",
        "assert (first.config_hash, first.spec_hash) ==",
    ),
    Feature(
        "a client's key is for inference only",
        "every known key opens every route",
        "roles/litellm/files/gateway_access.py",
        "if caller.client is None or client_may_call(path, policy.client_routes):",
        "if True:",
        "tests/unit/roles/litellm/test_gateway_access.py::test_what_a_client_may_call",
        "DID NOT RAISE",
    ),
    Feature(
        "client files keep the entries of others",
        "only our own entries are written",
        f"{UTILS}/_clients.py",
        "        else:\n            merged.append(entry)\n",
        "",
        "tests/unit/plugins/modules/test_client_files.py::test_entries_of_others_stay_through_write_change_and_removal",
        "{'id': 'vllm-external',",
    ),
    Feature(
        "`daemon.json` keeps what others wrote",
        "it is made anew",
        f"{UTILS}/_daemon_config.py",
        "    after = copy.deepcopy(before)\n",
        "    after: dict[str, t.Any] = {}\n",
        f"{UNIT}/test__daemon_config.py::test_merge",
        "{'dns': ['1.1.1.1']} != {'dns': ['1.1.1.1', '10.0.0.2']}",
    ),
    Feature(
        "a Docker that does not come up with a new configuration gets its old one back",
        "the files stay as they were written",
        f"{UTILS}/_daemon_change.py",
        "    left = files.take_back()\n    if left:\n",
        "    left: list[str] = []\n    if left:\n",
        f"{UNIT}/test__daemon_change.py::test_a_docker_that_does_not_come_back_gets_its_old_file_back",
        "does not start with it either",
    ),
    Feature(
        "what a source of packages says counts, and not its file's name",
        "only the source of the role's own name is looked at",
        f"{UTILS}/_package_sources.py",
        "        if wanted is None and file != path:\n",
        "        if file != path:\n",
        f"{UNIT}/test__package_sources.py::test_the_same_repository_in_other_files",
        "Right contains 2 more items",
    ),
    Feature(
        "a newer toolkit stays whoever packed it",
        "the packager's revision has to be ours",
        "plugins/plugin_utils/_docker/toolkit_packages.py",
        "        target = dict.fromkeys(PACKAGES, newest) if len(versions) > 1 else there\n",
        '        target = dict.fromkeys(PACKAGES, f"{upstream(newest)}-1")\n',
        "tests/unit/plugins/plugin_utils/_docker/test_toolkit_packages.py::test_what_is_installed",
        "1.20.5-1",
    ),
    Feature(
        "a hung engine is started anew",
        "an engine never counts as hung",
        f"{UTILS}/_launch_rules.py",
        "return self.limit > 0 and now - self.last_sign > self.limit",
        "return False",
        f"{UNIT}/test__launch_rules.py::test_watch_knows_busy_idle_and_hung_engines",
        "False = hung(41)",
    ),
    Feature(
        "a start that hangs is given up",
        "silence is never too long",
        f"{UTILS}/_silence.py",
        "return self.limit > 0 and now - self.last > self.limit",
        "return False",
        f"{UNIT}/test__silence.py::test_only_a_start_without_any_sign_is_given_up",
        "assert (None is not None) is True",
    ),
    Feature(
        "the line that names the cause is told, not the last one",
        "the first line of any trouble is taken",
        f"{UTILS}/_causes.py",
        "if best is not None and best.rank == Rank.CERTAIN:",
        "if best is not None:",
        f"{UNIT}/test__causes.py::test_the_last_line_of_vllm_never_hides_the_first",
        "no socket interface found",
    ),
    Feature(
        "an engine that lost its GPU is started anew",
        "an empty list of GPUs in its container is good enough",
        f"{UTILS}/_launch_rules.py",
        'return None if any(line.startswith("GPU ") for line in lines) else',
        "return None if True else",
        f"{UNIT}/test__launch_rules.py::test_lost_gpu",
        "assert (None is None) is ('lists no GPU' is None)",
    ),
    Feature(
        "a launcher that was killed costs no engine its life",
        "a running container is replaced",
        f"{UTILS}/_launch_rules.py",
        "        return ADOPT\n",
        "        return REPLACE\n",
        f"{UNIT}/test__launch_rules.py::test_decide_existing",
        "assert 'replace' == 'adopt'",
    ),
    Feature(
        "engines answer on the host's own address only",
        "the port is published on all addresses",
        "plugins/plugin_utils/_engines/vllm_unit.py",
        "f\"127.0.0.1:{instance['port']}:{CONTAINER_PORT}\"",
        "f\"{instance['port']}:{CONTAINER_PORT}\"",
        "tests/unit/plugins/plugin_utils/_engines/test_vllm_unit.py::test_port_is_published_on_loopback_only",
        "assert '8070:8000' == '127.0.0.1:8070:8000'",
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
        "an engine on a GPU cannot take all of the host's main memory",
        "the plan gives its container no bound",
        "plugins/plugin_utils/_engines/vllm.py",
        '"host_memory_mib": around.bounds.get(task.port),',
        '"host_memory_mib": None,',
        "tests/unit/plugins/plugin_utils/_plan/test_main_memory.py::test_every_engine_on_a_gpu_is_bounded",
        "{'chat': None} == {'chat': 58368}",
    ),
    Feature(
        "caches in main memory are counted like memory of a GPU",
        "what engines are told to take is not asked for",
        "plugins/plugin_utils/_plan/grants.py",
        "for item in task.offloads:",
        "for item in ():",
        "tests/unit/plugins/plugin_utils/_plan/test_main_memory.py::test_more_than_there_is_is_refused_where_it_is_written",
        "DID NOT RAISE PlanError",
    ),
    Feature(
        "a GPU with MIG and without slices is no whole GPU",
        "it is planned as one",
        "plugins/plugin_utils/_plan/platform.py",
        'elif gpu.get("mig_enabled") is True:',
        "elif False:",
        "tests/unit/plugins/plugin_utils/_plan/test_platform.py::test_mig_without_slices_is_refused_with_the_command_that_makes_them",
        "DID NOT RAISE PlanError",
    ),
    Feature(
        "a driver without a GPU does not mean the CPU without a word",
        "the plan says nothing of it",
        "plugins/plugin_utils/_plan/platform.py",
        "if must_fit and on_gpu and wanted ==",
        "if False and on_gpu and wanted ==",
        "tests/unit/plugins/plugin_utils/_plan/test_platform.py::test_a_driver_without_a_gpu_is_not_the_cpu_without_a_word",
        "assert 0 == 1",
    ),
]


def table() -> str:
    lines = ["| feature | taken out | the test that failed | what it said |", "| --- | --- | --- | --- |"]
    for one in FEATURES:
        file, _colons, name = one.test.partition("::")
        test = f"[`{name or Path(file).stem}`](../{file})"
        told = one.told.replace("|", "\\|")
        lines.append(f"| {one.promise} | {one.removed} (`{one.file}`) | {test} | `{told}` |")
    return "\n".join(lines) + "\n"


def page_with_table(page: str) -> str:
    return re.sub(r"(<!-- BEGIN_FEATURES -->\n).*?(<!-- END_FEATURES -->)", lambda found: found[1] + table() + found[2], page, flags=re.S)


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write("docs/proven.md is up to date\n")
