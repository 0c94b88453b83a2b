# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What holds for an engine where nothing else is said. Argument specs, roles' defaults and pages repeat these; a test compares them."""

from __future__ import annotations

DATA_DIR = "/var/lib/gpu-inference"
INSTANCES_DIR = "/etc/gpu-inference/instances"
ENGINES_NETWORK = "inference_engines"
#: Seconds from the start of a container to its first answer.
READY_TIMEOUT = 1800
#: Seconds without any sign of life after which a start has failed.
SILENCE_TIMEOUT = 600
#: Seconds until a container that stops is killed.
STOP_TIMEOUT = 60
#: Seconds without a sign of life after which an engine is started again.
WATCHDOG = 120
