#!/bin/sh
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The size of the KV cache comes last, so that a command line written for a GPU (--gpu-memory-utilization 0.9) runs as it is.
[ "$1" = serve ] && set -- "$@" --kv-cache-memory-bytes "${TINY_KV:-16M}"
exec python3 -m vllm.entrypoints.cli.main "$@"
