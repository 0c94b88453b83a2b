# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report_pages.py FOLDER: the pages that playbooks write, with everything that they can show, for website/check.py to look at."""

from __future__ import annotations

import sys
from pathlib import Path

from support.benchmarks import document, embedding
from support.fleet import plan, told

from ansible_collections.llmops.gpu_inference.plugins.filter.fleet import fleet_report
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.page import benchmark_page
from ansible_collections.llmops.gpu_inference.plugins.plugin_utils._benchmark.results import summary

NOW = "2026-11-28T12:00:00Z"


def pages() -> dict[str, str]:
    slower, faster = document(2.0, 27), document(0.5, 27, model="ocr", unit="vllm@ocr")
    gateway = document(
        1.3, host="a-host-with-a-long-name.example.org", through="gateway", unit="gateway@chat", under_load=True, complete=False
    )
    documents = [slower, document(), faster, document(model="ocr", unit="vllm@ocr"), embedding(), gateway]
    fleet = {file["name"]: file["content"] for file in fleet_report(plan(), **told(), time=NOW)}["fleet.html"]
    return {
        "fleet.html": fleet,
        "benchmarks.html": benchmark_page(summary(documents, NOW)),
        "no-benchmarks.html": benchmark_page(summary([], NOW)),
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
