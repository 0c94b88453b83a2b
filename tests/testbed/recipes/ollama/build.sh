#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The server that plays Ollama, where the real image has its program.
source "$HERE/../common.sh"
cp -a "$BASE/." "$ROOTFS/"
install -m 755 "$HERE/server.py" "$ROOTFS/usr/bin/ollama"
