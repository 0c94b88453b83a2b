#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# compat.sh [VERSION...]: the collection with other versions of ansible-core, and what runs on nodes with their oldest Python, each in a
# virtual environment that is thrown away.
#
# Each version runs on every Python of VERSIONS that the machine has: all of it on the newest, and what playbooks do (syntax, an offline plan,
# tests/unit/playbooks/test_surroundings.py) on the others. What cannot be had here is named at the end as not run; a version that ran on no
# Python is a failure on a build server (CI set), where it was asked for by name, and where it leaves nothing that ran.
set -euo pipefail
shopt -s extglob
cd "$(dirname "$(readlink -f "$0")")/.."
root=$PWD
# Version of ansible-core with the Pythons that its controller runs on; nodes with the oldest Python of their modules.
VERSIONS="nodes:3.9 2.17:3.10,3.11,3.12 2.18:3.11,3.12,3.13 2.19:3.11,3.12,3.13 2.20:3.12,3.13,3.14 2.21:3.12,3.13,3.14"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Programs of a version manager that is not set up for them exist, but do not start.
python_of() {
    local candidate
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python; do
        if "$candidate" -c 'import ensurepip' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# On a node there are the standard library, requests, and the part of ansible-core that comes with each module.
check_nodes() { # python
    local venv=$work/nodes
    "$1" -m venv "$venv" || return 1
    "$venv/bin/pip" install --quiet --quiet --disable-pip-version-check hypothesis pytest PyYAML requests || return 75
    mkdir "$venv/modules"
    ln -s "$(echo "$root"/.venv/lib/python3.*/site-packages/ansible)" "$venv/modules/ansible"
    echo "=== nodes, $("$venv/bin/python" --version)"
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$venv/modules "$venv/bin/python" -m pytest -m "not slow" \
        tests/unit/plugins/module_utils tests/unit/plugins/modules
}

check() { # version python, and "short" where a newer Python had all of it
    if [ "$1" = nodes ]; then
        check_nodes "$2"
        return
    fi
    local venv=$work/$1-${2##*/} core
    "$2" -m venv "$venv" || return 1
    "$venv/bin/pip" install --quiet --quiet --disable-pip-version-check "ansible-core==$1.*" hypothesis jsonschema pytest PyYAML requests || return 75
    core=$("$venv/bin/python" -c 'import ansible, sys; print(f"ansible-core {ansible.__version__}, Python {sys.version.split()[0]}")')
    echo "=== $core"
    # community.docker comes from the environment of `make env`: bare ansible-core has no collections.
    local -x ANSIBLE_COLLECTIONS_PATH ANSIBLE_HOME=$venv/home PATH=$venv/bin:/usr/bin:/bin:/usr/sbin:/sbin
    ANSIBLE_COLLECTIONS_PATH=$root/collections:$(echo "$root"/.venv/lib/python3.*/site-packages)
    if ! {
        ansible-playbook -i inventories/demo/hosts.yml site.yml playbooks/*.yml --syntax-check &&
            ansible-playbook -i inventories/four-capabilities playbooks/plan.yml -e plan_offline=true
    } >"$venv/log" 2>&1; then
        cat "$venv/log"
        return 1
    fi
    python -m pytest tests/unit/playbooks/test_surroundings.py || return 1
    if [ "${3:-}" != short ]; then
        python -m pytest -m "not slow" tests/unit/plugins tests/unit/inventories tests/unit/roles
    fi
}

failed=0
ran=0
missing=0
summary=""
for version in "$@"; do
    if [[ " $VERSIONS" != *" $version:"* ]]; then
        echo "compat.sh: no such version: $version. There are: ${VERSIONS//:+([0-9.,])/}" >&2
        exit 2
    fi
done
for entry in $VERSIONS; do
    version=${entry%%:*}
    if [ $# -gt 0 ] && [[ " $* " != *" $version "* ]]; then continue; fi
    short=""
    for number in $(tr , '\n' <<<"${entry#*:}" | tac); do
        if ! python=$(python_of "$number"); then
            result="NOT RUN: it is not here"
        else
            code=0
            check "$version" "$python" "$short" || code=$?
            case $code in
            0) result="passed${short:+, what playbooks do}" ;;
            75) result="NOT RUN: cannot be installed here" ;;
            *)
                result="FAILED"
                failed=1
                ;;
            esac
            if [ "$code" -ne 75 ]; then short=short; fi
        fi
        summary+=$(printf '%-18s Python %-5s %s' "${version/#2/ansible-core 2}" "$number" "$result")$'\n'
    done
    if [ -n "$short" ]; then ran=$((ran + 1)); else missing=$((missing + 1)); fi
done
printf '\n%s' "$summary"
if [ "$ran" -eq 0 ] || { [ "$missing" -gt 0 ] && { [ $# -gt 0 ] || [ -n "${CI:-}" ]; }; }; then
    echo "compat.sh: $ran of $((ran + missing)) ran" >&2
    failed=1
fi
exit "$failed"
