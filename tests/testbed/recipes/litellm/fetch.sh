#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
source "$HERE/../common.sh"
pip_target "$LIB" -r "$HERE/requirements.txt" -r "$HERE/litellm-$VERSION.txt" --require-hashes
