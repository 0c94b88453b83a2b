#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The server that plays Crawl4AI's.
source "$HERE/../common.sh"
cp -a "$BASE/." "$ROOTFS/"
install -D -m 755 "$HERE/server.py" "$ROOTFS/app/server.py"
