#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# run_scenarios.sh SCENARIO... | --all: molecule scenarios one after the other, each announced, with a table of times at the end.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
if [ "${1:-}" = --all ]; then
    set --
    for folder in molecule/*/molecule.yml; do
        folder=${folder%/molecule.yml}
        set -- "$@" "${folder##*/}"
    done
fi
[ $# -gt 0 ] || {
    echo "usage: run_scenarios.sh SCENARIO... | --all" >&2
    exit 2
}
python tests/testbed/bed.py up
failed=0
summary=""
for scenario in "$@"; do
    echo "=== scenario $scenario"
    began=$SECONDS
    result=passed
    molecule test --scenario-name "$scenario" || {
        result=FAILED
        failed=1
    }
    summary+=$(printf '%-24s %-8s %4d s' "$scenario" "$result" $((SECONDS - began)))$'\n'
done
printf '\n%s' "$summary"
exit "$failed"
