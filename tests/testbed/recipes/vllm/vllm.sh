#!/bin/sh
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The size of the KV cache comes last, so that a command line written for a GPU (--gpu-memory-utilization 0.9) runs as it is. The model
# classes that vLLM inspected when the image was built go where it looks for them: each instance has a cache folder of its own there.
if [ "$1" = serve ]; then
    set -- "$@" --kv-cache-memory-bytes "${TINY_KV:-16M}"
    mkdir -p ~/.cache/vllm && cp -Rn /usr/local/share/vllm/modelinfos ~/.cache/vllm/ || true
fi
exec python3 -m vllm.entrypoints.cli.main "$@"
