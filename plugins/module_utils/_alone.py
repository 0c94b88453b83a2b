# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""The other hosts of an instance that has none, which most instances are; C(_group.py) has those of a model on several hosts."""

from __future__ import annotations

from collections.abc import Mapping

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Diagnosis
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Container
except ImportError:  # on the node the files lie side by side
    from _causes import Diagnosis  # type: ignore[import-not-found,no-redef]
    from _docker_cli import Container  # type: ignore[import-not-found,no-redef]


class Alone:
    """An instance on one host: nobody to wait for."""

    #: Whether the end of this attempt was planned, so that requests in work may end.
    planned = False

    def join(self, adopted: Container | None) -> None:
        """Speaks with the others from now on. C(adopted): the container of a generation that runs already."""

    def begin(self) -> None:
        """Waits for a generation to take part in."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Further labels of the container."""
        return {}

    @property
    def patience(self) -> float | None:
        """Seconds to wait for a GPU while others wait for this host; None: as long as it takes."""
        return None

    @property
    def ready(self) -> bool:
        """Whether the others say that the model answers, of an instance that cannot be asked itself."""
        return True

    @property
    def away(self) -> str:
        """Who is out of reach, in words."""
        return ""

    def before_stop(self) -> None:
        pass

    def blame(self, diagnosis: Diagnosis) -> Diagnosis:
        """What has ended this attempt: this, or something on another host before it."""
        return diagnosis

    def ended(self, diagnosis: Diagnosis | None) -> None:
        """The attempt has ended: for this reason, or as told."""

    def linger(self) -> None:
        """Until the others have heard of it."""

    def leave(self) -> None:
        """Neither asks nor answers any more."""
