#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Debian 12 with Python 3.11: what the engine and the gateway image build on. libnuma1 is for vLLM's CPU kernels.
source "$HERE/../common.sh"
debian bookworm python3,ca-certificates,libnuma1
