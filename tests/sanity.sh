#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# sanity.sh [ARGUMENT...]: ansible-test sanity, without Docker. Arguments go to ansible-test, for example: --test validate-modules
#
# ansible-test wants the collection in a folder of its name, outside any other work tree, so it gets a copy of what is published
# (tests/unit/repository/test_package.py checks that). Our own tests are left to ruff, mypy, yamllint and shellcheck: they need not run
# with the Pythons of managed nodes.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
collection=$work/ansible_collections/llmops/gpu_inference
mkdir -p "$collection"
git ls-files -z --cached --others --exclude-standard -- \
    LICENSE README.md CHANGELOG.md galaxy.yml changelogs docs meta playbooks plugins roles |
    while IFS= read -rd '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
    tar --null --files-from=- --create --file=- | tar --extract --file=- --directory="$collection"

# Its virtual environments stay in .cache, so that the next run is quick.
home=$root/.cache/ansible-test
mkdir -p "$home/.ansible/test/cache" "$home/.config"
if [ -d "$HOME/.config/pip" ]; then ln -sfn "$HOME/.config/pip" "$home/.config/pip"; fi
# ansible-test fetches the installer of its pip from a server of its own. This one takes pip from where pip itself does.
cat >"$home/.ansible/test/cache/get_pip_24_2.py" <<PYTHON
import subprocess
import sys

subprocess.check_call(["$root/.venv/bin/pip", "--python", sys.executable, "install", "--quiet", "pip==24.2"])
PYTHON

cd "$collection"
# A clean PATH: version managers put programs there that exist for some Python only.
exec_path=$root/.venv/bin:/usr/bin:/bin
HOME=$home PATH=$exec_path ansible-test sanity --color no "$@"
