#!/bin/bash
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
source "$HERE/../common.sh"
pip_target "$LIB" -r "$HERE/requirements.txt" --require-hashes
# First as pip is configured (a wheel folder, an own index); then PyTorch's index of CPU builds.
pip_target "$LIB" -r "$HERE/requirements-torch.txt" || pip_target "$LIB" -r "$HERE/requirements-torch.txt" --extra-index-url https://download.pytorch.org/whl/cpu
