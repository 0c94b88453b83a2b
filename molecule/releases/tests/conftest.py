# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every test begins with a node on which all is ready, and the seconds that were measured stand at the end."""

from __future__ import annotations

from one_gpu_node import journal_of_a_failure, sound_node, told_at_the_end

__all__ = ["journal_of_a_failure", "sound_node", "told_at_the_end"]
