# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the reconciler takes on a node where nothing is to be changed, with 1, 8 and 32 services.

Run it from the root of the checkout on a machine with the test bed: `python tests/benchmarks/reconcile.py NODE IMAGE`. NODE is
a node of the test bed with Docker in it, IMAGE any image in that Docker that has `sleep`. Units and containers are real, but do
nothing. Beside it the same question is put the usual way, one `docker inspect` and one `systemctl show` per service.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UTILS = "ansible_collections/llmops/gpu_inference/plugins/module_utils"
FOLDER = "/tmp/gpu-inference-benchmark"

# Runs on the node.
PROGRAM = r"""
import json, os, shutil, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import Reconciler
from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import run_command
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER, Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import CONTAINER_KEYS, LAUNCHER_KEYS, want_all
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings

folder, image, counts, rounds = Path(sys.argv[1]), sys.argv[2], [int(word) for word in sys.argv[3].split(",")], int(sys.argv[4])
unit_file = Path("/run/systemd/system/bench@.service")
settings = Settings(Paths(folder / "instances", folder / "run"), ("bench",), wants_dir=folder / "wants")

def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

def instance(number):
    files = {"config.yaml": "a: 1\n" * 20}
    base = dict.fromkeys(CONTAINER_KEYS + LAUNCHER_KEYS)
    return {**base, "kind": "bench", "name": f"b{number}", "image": image, "files": files, "environment": {"A": "1"}}

unit_file.parent.mkdir(parents=True, exist_ok=True)
unit_file.write_text("[Service]\nExecStart=/bin/sleep infinity\n")
run("systemctl", "daemon-reload")
made = []
try:
    for count in counts:
        wanted = want_all([instance(number) for number in range(count)], ["bench"])
        for item in wanted[len(made):]:
            made.append(item)
            labels = {"owner": OWNER, "instance": item.instance, "config-hash": item.config_hash}
            run("docker", "run", "-d", "--name", item.container, "--network", "none", "--entrypoint", "sleep",
                *[f"--label={LABEL}{key}={value}" for key, value in labels.items()], image, "infinity")
        Reconciler(settings).apply(wanted)
        commands = []
        def counted(argv, timeout):
            commands.append(argv)
            return run_command(argv, timeout)
        ours, usual = [], []
        for _round in range(rounds):
            begun = time.perf_counter()
            report = Reconciler(settings, counted).apply(wanted)
            ours.append(time.perf_counter() - begun)
            assert not report.changed, report.units
            begun = time.perf_counter()
            for item in wanted:
                run("docker", "inspect", item.container)
                run("systemctl", "show", item.unit)
            usual.append(time.perf_counter() - begun)
        print(json.dumps([count, len(commands) / rounds, ours, usual]), flush=True)
finally:
    for item in made:
        subprocess.run(["systemctl", "stop", item.unit])
        subprocess.run(["docker", "rm", "--force", item.container], stdout=subprocess.DEVNULL)
    unit_file.unlink()
    run("systemctl", "daemon-reload")
    shutil.rmtree(folder)
"""


def archive() -> bytes:
    """What the reconciler needs, in the layout in which it imports itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted((ROOT / "plugins" / "module_utils").glob("*.py")):
            tar.add(path, f"{UTILS}/{path.name}")
        program = PROGRAM.encode()
        entry = tarfile.TarInfo("program.py")
        entry.size = len(program)
        tar.addfile(entry, io.BytesIO(program))
    return buffer.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node")
    parser.add_argument("image")
    parser.add_argument("--counts", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    inside = ["docker", "exec", "-i", options.node]
    subprocess.run([*inside, "sh", "-c", f"mkdir -p {FOLDER} && tar -x -C {FOLDER}"], input=archive(), check=True)
    done = subprocess.Popen(
        [*inside, "python3", f"{FOLDER}/program.py", FOLDER, options.image, options.counts, str(options.rounds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    print(f"{'services':>8}  {'commands':>8}  {'reconciler ms':>22}  {'one by one ms':>22}")
    for line in done.stdout or ():
        count, commands, ours, usual = json.loads(line)

        def times(values: list[float]) -> str:
            return f"{statistics.median(values) * 1000:.0f} ({min(values) * 1000:.0f} to {max(values) * 1000:.0f})"

        print(f"{count:>8}  {commands:>8.0f}  {times(ours):>22}  {times(usual):>22}", flush=True)
    return done.wait()


if __name__ == "__main__":
    sys.exit(main())
