# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When something counts as ready, and which cause a failure has."""

from __future__ import annotations

from mutations.feature import UNIT, UTILS, Feature

FEATURES = [
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
        "a server with another model is called `wrong_model`",
        "any model is good enough",
        f"{UTILS}/_probe.py",
        'if not {name, f"{name}:latest"} & set(self.models)]',
        "if not self.models]",
        f"{UNIT}/test__probe.py::test_each_fault_has_its_cause",
        "'model' != 'health'",
    ),
    Feature(
        "an engine whose LoRA adapter is not listed is not ready",
        "its model is enough",
        f"{UTILS}/_probe.py",
        "(wanted, *self.endpoint.further_models)",
        "(wanted,)",
        f"{UNIT}/test__probe.py::test_each_fault_has_its_cause",
        "(True, None, False, 'answer') == (False,",
    ),
    Feature(
        "https spoken to an http port is called `tls_mismatch`",
        "any failed handshake is a refused connection",
        f"{UTILS}/_probe_http.py",
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
        "the line that names the cause is told, not the last one",
        "the first line of any trouble is taken",
        f"{UTILS}/_causes.py",
        "if best is not None and best.rank == Rank.CERTAIN:",
        "if best is not None:",
        f"{UNIT}/test__causes.py::test_the_last_line_of_vllm_never_hides_the_first",
        "no socket interface found",
    ),
    Feature(
        "a generation that a host has ended is never begun again",
        "a host begins whatever it is told",
        f"{UTILS}/_group_rules.py",
        "return word.wants is not None and word.wants > mine.begun",
        "return word.wants is not None",
        f"{UNIT}/test__group_rules.py::test_a_member_promises_what_is_new_and_nothing_else",
        "is never begun again",
    ),
    Feature(
        "a cut cable ends no generation of an engine over several hosts",
        "a host that is out of reach counts as gone",
        f"{UTILS}/_group_rules.py",
        "    if seen.error in (REFUSED, STRANGER) and now - seen.since > COMES_BACK_WITHIN:",
        "    if seen.error and now - seen.since > COMES_BACK_WITHIN:",
        f"{UNIT}/test__group_rules.py::test_what_ends_a_generation",
        "does not run any more",
    ),
    Feature(
        "a question between hosts that was delayed is thrown away",
        "it is heard when it comes",
        f"{UTILS}/_group_link.py",
        "                    if count <= self._last:\n                        return\n",
        "",
        f"{UNIT}/test__group_link.py::test_a_question_that_a_cut_cable_has_delayed_is_thrown_away",
        "assert b",
    ),
    Feature(
        "hosts of one engine know each other by a key",
        "a question without proof is heard",
        f"{UTILS}/_group_link.py",
        "    if not hmac.compare_digest(proof, _proof(key, role, number, body).encode()):",
        "    if False:",
        f"{UNIT}/test__group_link.py::test_another_key_is_not_heard",
        "DID NOT RAISE",
    ),
    Feature(
        "the part of an engine that ended first is named, and only it counts as a failure",
        "each host blames itself",
        f"{UTILS}/_launcher_ends.py",
        "        diagnosis = life.group.blame(diagnosis)\n",
        "",
        f"{UNIT}/test__group.py::test_the_part_that_ended_first_is_the_one_to_blame",
        "group_ended",
    ),
]
