#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The LiteLLM proxy, with the entry point of the published image.
source "$HERE/../common.sh"
cp -a "$BASE/." "$ROOTFS/"
lib=$ROOTFS/usr/local/lib/python3.11/dist-packages
mkdir -p "${lib%/*}"
rmdir "$lib" 2>/dev/null || true
mv "$LIB" "$lib"
rm -rf "$lib/bin"
printf '#!/usr/bin/python3\nimport sys\n\nfrom litellm import run_server\n\nsys.exit(run_server())\n' > "$ROOTFS/usr/local/bin/litellm"
chmod 755 "$ROOTFS/usr/local/bin/litellm"
ln -s python3 "$ROOTFS/usr/bin/python"
mkdir -p "$ROOTFS/app"
python_in_rootfs LITELLM_LOCAL_MODEL_COST_MAP=True sh -c '
    cd /tmp
    python3 -m compileall -q -j 2 /usr/local/lib/python3.11/dist-packages || true
    python3 -c "import litellm.proxy.proxy_server"'
slim
