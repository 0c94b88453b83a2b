# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this document fragment is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  proof:
    description:
      - How an engine is proved that takes the place of another one. The one that serves is asked a set of questions just before it is
        replaced, by M(llmops.gpu_inference.container_units), and the new one the same by M(llmops.gpu_inference.unit_releases).
    type: dict
    suboptions:
      speed:
        description: The share of tokens, or requests, per second that the new one has to reach. The first token may take as much longer.
        type: float
        default: 0.8
      similarity:
        description: How much of their words answers of the same model have in common at least, from 0 to 1.
        type: float
        default: 0.5
      cosine:
        description: The least cosine of an embedding with the one before, of the same model.
        type: float
        default: 0.98
      rounds:
        description: How often speed is measured. The best round counts.
        type: int
        default: 5
      timeout:
        description: Seconds for one request.
        type: float
        default: 120
      answers:
        description:
          - By the name of a model a list of prompts of your own. Each has C(prompt), or C(messages), and what must hold of the answer.
          - That is C(exact), C(contains), C(tool) with the name of one of its C(tools), or C(json) with a schema, of which type, enum,
            required, properties and items count.
          - Of an embedding model C(prompt), and with it C(nearer) and C(than), two texts of which the first must be the nearer one, or
            C(vector), to which C(cosine) counts, as it does to the vector of the engine before.
          - Of a transcription model C(audio), a file on the controller of 1 MiB at most, with what it C(says), and C(word_error_rate),
            0.2 by default.
        type: dict
        default: {}
      audio:
        description:
          - The files that O(proof.answers) name, in Base64 by their path. Whoever uses the module in a playbook leaves it out, it is read
            from the controller.
        type: dict
        default: {}
"""
