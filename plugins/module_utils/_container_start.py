# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""Starts the container of an instance: image, download, turn on the GPU, docker create and start."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_cli as docker_cli
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _docker_watch as docker_watch
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launch_rules as rules
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _progress as progress
    from ansible_collections.llmops.gpu_inference.plugins.module_utils import _silence as silence
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, or_else, redact
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_follow import Following
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._gpu_turn import GpuTurn
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._host_commands import Ran
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_events import Failure
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher_life import Life
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import ENV_FILE
except ImportError:  # on the node the files lie side by side
    import _docker_cli as docker_cli  # type: ignore[import-not-found,no-redef]
    import _docker_watch as docker_watch  # type: ignore[import-not-found,no-redef]
    import _launch_rules as rules  # type: ignore[import-not-found,no-redef]
    import _progress as progress  # type: ignore[import-not-found,no-redef]
    import _silence as silence  # type: ignore[import-not-found,no-redef]
    from _causes import Cause, or_else, redact  # type: ignore[import-not-found,no-redef]
    from _container_follow import Following  # type: ignore[import-not-found,no-redef]
    from _gpu_turn import GpuTurn  # type: ignore[import-not-found,no-redef]
    from _host_commands import Ran  # type: ignore[import-not-found,no-redef]
    from _launcher_events import Failure  # type: ignore[import-not-found,no-redef]
    from _launcher_life import Life  # type: ignore[import-not-found,no-redef]
    from _node import ENV_FILE  # type: ignore[import-not-found,no-redef]

PULL_TIMEOUT = 4 * 3600.0


class Starting:
    def __init__(self, life: Life, gpu: GpuTurn, following: Following) -> None:
        self._life = life
        self._gpu = gpu
        self._following = following

    def wait_after_failures(self) -> None:
        """The longer, the more starts have failed in a row."""
        life, state = self._life, self._life.state
        delay = rules.Backoff().delay(state.failures)
        if delay:
            why = "has served before; " if state.served else ""
            life.update(progress.STARTING, None, f"{why}waits {delay:.0f} s before attempt {state.failures + 1}", force=True)
            life.pause(delay)

    def start(self) -> None:
        life, state = self._life, self._life.state
        # Not before a container is adopted: until this launcher speaks of it, neighbours take a serving one for nobody's.
        self.wait_after_failures()
        self._own_container()
        life.update(progress.STARTING, force=True)
        self._pull_image()
        self._download()
        if life.spec.group is not None:
            self._remove_old()  # of an older generation: the others wait for that
        life.group.begin()
        self._gpu.take(life.group.patience)
        self._remove_old()
        if life.spec.drop_page_cache:
            self._drop_page_cache()
        life.update(progress.STARTING)
        folder = life.paths.folder(life.kind, life.name)
        created = life.docker.call(*docker_cli.create_argv(life.spec, str(folder / ENV_FILE), more=life.group.labels), timeout=120)
        if created.rc != 0:
            raise life.refused(created, "docker create failed", life.kind)
        container_id = created.out.split()[-1]
        state.container_id = container_id
        state.loading = True
        for network in life.spec.networks[1:]:
            connected = life.docker.connect(network, container_id)
            if connected.rc != 0:
                raise life.refused(connected, f"docker network connect {network} failed")
        life.publish()
        begun = life.docker.start(container_id)
        if begun.rc != 0:
            raise life.refused(begun, "docker start failed")
        life.say(f"container {container_id[:12]} started")
        self._following.attend(container_id, "")
        life.deadline = life.clock.monotonic() + life.spec.start_timeout

    def _pull_image(self) -> None:
        life = self._life
        spec = life.spec
        present = life.docker.image_id(spec.image) is not None
        if present and spec.pull != "always":
            return
        if spec.pull == "never":
            raise life.failure(Cause.IMAGE_MISSING, f"image {spec.image} is not on this host and pull is 'never'")
        life.update(progress.PULLING, None, spec.image)
        pull = progress.DockerPull()

        def on_line(line: str) -> None:
            life.hear()
            life.update(progress.PULLING, pull.feed(line), spec.image)

        try:
            result = life.docker.call("pull", spec.image, timeout=PULL_TIMEOUT, on_line=on_line, tick=lambda: life.listen(silence.of_pull))
        except Failure as failure:
            if not present:
                raise
            result = Ran(124, "", failure.diagnosis.message)
        if result.rc == 0:
            return
        if present:
            life.say(f"cannot pull {spec.image}, starts the image that is here: {docker_cli.reason(result.err)}")
            return
        raise life.refused(result, f"cannot pull {spec.image}")

    def _download(self) -> None:
        life = self._life
        if not life.spec.download_command:
            return
        life.update(progress.DOWNLOADING)
        name = life.spec.container + "-download"
        life.docker.remove(name)
        lines: list[str] = []

        def on_line(line: str) -> None:
            life.hear()
            lines.append(line)
            life.print((redact(line, life.secrets) + "\n").encode("utf-8", "replace"))
            found = progress.parse_line(life.kind, line)
            if found and found.phase == progress.DOWNLOADING:
                life.update(progress.DOWNLOADING, found.percent, found.detail)

        argv = docker_cli.download_argv(life.spec, str(life.paths.folder(life.kind, life.name) / ENV_FILE))
        try:
            result = life.docker.call(
                *argv, timeout=PULL_TIMEOUT, on_line=on_line, tick=lambda: life.listen(lambda: life.vitals_of(name), lines)
            )
        except Failure:
            life.docker.remove(name)  # the command was killed, and its container goes on
            raise
        if result.rc != 0:
            raise Failure(or_else(life.classify(result.lines, "the download failed", result.rc), Cause.DOWNLOAD_FAILED))

    def _own_container(self) -> docker_cli.Container | None:
        """The one of the instance's name, which must be ours."""
        life = self._life
        container = life.docker.find(life.spec.container)
        if rules.decide_existing(container, life.spec) == rules.FOREIGN:
            text = f"a container named {life.spec.container} exists that is not ours; remove or rename it"
            raise life.failure(Cause.UNKNOWN, text, permanent=True)
        return container

    def _remove_old(self) -> None:
        life = self._life
        seconds = int(life.spec.stop_timeout)
        for container in (self._own_container(), *life.docker.left_by_handover(life.spec)):
            if container is None:
                continue
            if container.running:
                life.docker.stop(container.id, seconds)
            life.docker.remove(container.id)

    def _drop_page_cache(self) -> None:
        # By a program of its own: it may take minutes, and this process is to show that it lives.
        dropped = docker_watch.run_process(
            ["sh", "-c", "sync && echo 1 > /proc/sys/vm/drop_caches"], 600, lambda: self._life.stopping, tick=self._life.alive
        )
        if dropped.rc != 0:
            self._life.say(f"cannot drop the page cache: {' '.join(dropped.lines)}")
