#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_units
short_description: Bring the container instances of a host, as systemd units, to the wanted state
description:
  - Writes the folder of each instance, removes instances that are no longer wanted, and restarts only what differs. One call handles
    all instances of a host, so that a run that changes nothing costs one C(docker ps) and one C(systemctl show), however many there are.
  - Whether an instance differs is decided by the configuration hash in the label of its running container. A run that was
    killed half-way is thus repaired by the next one.
  - Before anything stops for a change, the change is tried. The image is fetched and reads its configuration (O(instances[].check)),
    another model is fetched (O(instances[].download_command), O(instances[].pull_models)), and Docker makes a container with the new
    settings and starts it, with C(true) for a program, beside the one that serves. What is refused stays as it is, files and container,
    and the task fails with the reason when the rest is done. With it stay instances that are to be removed, and changes that need a GPU
    or a port which it keeps.
  - All instances that change or go are stopped before the first one is started. The launcher, main process of each unit, then
    starts instances of different GPUs in parallel and those of one GPU one after the other.
  - It does not wait until an instance is ready, see M(llmops.gpu_inference.endpoint_ready) for that.
  - It never does a C(systemctl daemon-reload). The template units, such as C(vllm@.service), come from the roles.
  - Folders without the owner marker in their C(service.json), containers without the owner labels, and their units, are never touched.
version_added: 0.9.0
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
  - llmops.gpu_inference._proof
attributes:
  check_mode:
    support: full
    details:
      - Works on a host without Docker and systemd; then everything is predicted to be started.
  diff_mode:
    support: full
    details:
      - Shows the files of the instance folders. Values of O(instances[].secret_environment) are shown as C(<hidden>).
  idempotent:
    support: full
options:
  instances:
    description: All instances of this host, of the kinds in O(kinds).
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: Kind of service, the part of the unit's name before the C(@).
        type: str
        required: true
      name:
        description: Name of the instance, unique within its kind.
        type: str
        required: true
      image:
        description: Container image, with tag or digest.
        type: str
        required: true
      pull:
        description: When the image is pulled. With V(always), an image that is present is used where the registry does not answer.
        type: str
        choices: [missing, always, never]
        default: missing
      entrypoint:
        description: Program to run in place of the image's own. Option C(--entrypoint) of C(docker create).
        type: str
      command:
        description: Arguments after the image.
        type: list
        elements: str
        default: []
      docker_arguments:
        description:
          - Further arguments of C(docker create), without name, labels, networks and env file, which are added.
          - Never put a secret here, the arguments can be read by every user of the host.
        type: list
        elements: str
        default: []
      networks:
        description: Docker networks to attach to. They must exist.
        type: list
        elements: str
        default: []
      files:
        description: Files of the instance folder, by name. They are for O(instances[].docker_arguments) to mount.
        type: dict
        default: {}
      environment:
        description: Environment variables of the container.
        type: dict
        default: {}
      secret_environment:
        description: Environment variables with secret values. They end in the same file, which only root can read.
        type: dict
        default: {}
      live_files:
        description:
          - Files that the container reads again when they change, by name. They are placed in the folder C(live) of the instance folder,
            for O(instances[].docker_arguments) to mount as a whole, and a change restarts nothing.
          - Each is replaced at once, also where the configuration stays as it is.
        type: dict
        default: {}
      secret_live_files:
        description: The same with secrets. Only O(instances[].live_owner) can read them, and neither diff nor output shows them.
        type: dict
        default: {}
      live_owner:
        description: User of the container that reads O(instances[].secret_live_files), C(USER) or C(USER:GROUP) as numbers.
        type: str
        default: "0"
      locks:
        description:
          - Names of the start locks, in general the UUIDs of the GPUs. Instances that share one never start at the same time.
        type: list
        elements: str
        default: []
      probe:
        description: How the launcher proves that the instance is ready. Without it, an instance is ready when its container runs.
        type: dict
        suboptions:
          base_url:
            description: URL of the API on this host, with C(/v1) where the API has it.
            type: str
            required: true
          health_path:
            description: Path of the health check, from the root of the server. Empty where there is none.
            type: str
            default: /health
          level:
            description: What must succeed, see M(llmops.gpu_inference.endpoint_ready).
            type: str
            choices: [open, health, model, answer]
            default: answer
          capability:
            description: What kind of request is sent with O(instances[].probe.level=answer).
            type: str
            choices: [chat, embedding, rerank, transcription]
            default: chat
          model:
            description: Name under which the model must be served.
            type: str
          further_models:
            description: Other names that the API must list too, such as those of LoRA adapters.
            type: list
            elements: str
          speaks:
            description: The API of the server, see M(llmops.gpu_inference.endpoint_ready).
            type: str
            choices: [openai, tei]
          modalities:
            description: With V(image) among them, the request carries an image.
            type: list
            elements: str
            default: []
          api_key_variable:
            description: Name of the variable in O(instances[].secret_environment) that holds the API key.
            type: str
          dimension:
            description: Expected length of an embedding.
            type: int
          ca_path:
            description: A file on this host with the certificates of the authorities to trust where O(instances[].probe.base_url) is https.
            type: str
      start_timeout:
        description:
          - Seconds from the start of the container until the instance must be ready. Waiting for a GPU and pulling do not count.
        type: float
        default: 900
      silence_timeout:
        description:
          - Seconds without any sign of life after which a start has failed, pulls and downloads too. 0 is no limit.
          - A sign is a line of the log, processor time of the container, or data that it reads or writes.
        type: float
        default: 600
      stop_timeout:
        description: Seconds until a stopping container is killed.
        type: float
        default: 60
      watchdog:
        description:
          - Seconds without a sign of life after which a ready instance counts as hung and is restarted. V(0) switches this off.
        type: float
        default: 0
      drop_page_cache:
        description: Drop the page cache before the start, for GPUs that share the memory of the host.
        type: bool
        default: false
      memory_limit_mib:
        description:
          - Bound on the container's main memory in MiB, with as much swap again. A container that runs gets a changed one without a
            restart. One that holds more than nine tenths of it, or got its GPU by the hook of an old toolkit, gets it with its next start.
            A C(--memory) in O(instances[].docker_arguments) wins.
        type: int
      group:
        description:
          - The hosts of one model that runs on several. Their launchers speak with each other, and their containers start and stop
            together.
          - A changed one makes no other container.
        type: dict
        suboptions:
          rank:
            description: Which of O(instances[].group.members) this host is, from 0. The first one leads.
            type: int
            required: true
          port:
            description: TCP port where a member's launcher hears that of the first one.
            type: int
            required: true
          digest:
            description: Of the configuration that all members share. One with another digest takes no part.
            type: str
            required: true
          key_variable:
            description: Name of the variable in O(instances[].secret_environment) that members know each other by.
            type: str
            required: true
          members:
            description: All hosts of the group.
            type: list
            elements: dict
            required: true
            suboptions:
              host:
                description: Its name, for messages.
                type: str
                required: true
              address:
                description: Its IP address on the network between the members.
                type: str
                required: true
      handover_socket:
        description:
          - Path in the container of a Unix socket by which its program gives its listening sockets away, and takes over those of
            another one. A changed container is then started beside the old one, takes the port over once it listens, and no connection
            is refused. One that does not come up is removed, and the old one serves on.
          - As Docker gives a published port to one container for good, the first one stays as C(KIND-NAME-port), where nothing but a
            waiting process is left of it. A start of the unit leads back to one container.
          - Where ports, networks or addresses change, where less than 768 MiB of main memory are free, or where the old program has no
            such socket, the unit is stopped and started, and its RV(units) say so.
        type: path
      pull_models:
        description: Models to pull through the server once it runs. For Ollama.
        type: list
        elements: str
        default: []
      download_entrypoint:
        description: Program for O(instances[].download_command).
        type: str
      download_command:
        description:
          - Arguments of a run of the same image that precedes the start, before any lock is taken, to download the model into
            a mounted cache.
        type: list
        elements: str
        default: []
      check:
        description:
          - A run of the same image that says whether a changed configuration would do, before the container that it replaces is stopped.
          - It runs without network and secrets, with the mounts and the O(instances[].environment) of the instance. Exit status V(0)
            means yes; with another one below V(124) the instance is left as it is, the other instances are brought to their state, and
            the task fails with the reason. Where the program cannot be run there is a warning.
        type: dict
        suboptions:
          entrypoint:
            description: Program to run in place of the image's own.
            type: str
          command:
            description: Its arguments.
            type: list
            elements: str
            default: []
          input:
            description: Which of O(instances[].files) it gets as standard input.
            type: str
      layer:
        description: For role P(llmops.gpu_inference.engines#role), which builds it. O(instances[].image) as a layer on top of another one.
        type: dict
      afterwards:
        description: For role P(llmops.gpu_inference.engines#role). What follows when the instance answers.
        type: dict
      restart_limit:
        description: After so many failed starts in a row the launcher gives up.
        type: int
        default: 5
  kinds:
    description: Kinds that this call owns. Instances of other kinds are neither expected nor removed.
    type: list
    elements: str
    required: true
  purge:
    description: Whether to stop and remove instances of O(kinds) that are not in O(instances).
    type: bool
    default: true
  prefetch:
    description:
      - Only pull the images of O(instances) and run their downloads, so that the next call need not wait for them. Whatever runs
        goes on; no file is written, nothing is started, stopped or removed.
      - In check mode missing images are named; what is missing of a model only its hub knows.
    type: bool
    default: false
  live_only:
    description:
      - Only replace the O(instances[].live_files) and O(instances[].secret_live_files) of those O(instances) that have some already.
        Nothing else is looked at or changed, so that a running container gets them before anything else happens.
    type: bool
    default: false
  restart:
    description:
      - Whether to start and restart what differs. Otherwise files are written only, and RV(pending) names what waits for a restart.
    type: bool
    default: true
  boots_proved:
    description:
      - With O(proof). A host that goes down before a change has proved itself comes up with what served before it; the
        next run tries the change again.
    type: bool
    default: false
  releases:
    description:
      - By instance, such as C(vllm/chat), a release that it is to go to in place of what O(instances) says, its number, or V(latest) or
        V(previous). Its secrets are those of O(instances), its image is had from this host where it is still there.
    type: dict
    default: {}
  later:
    description:
      - Instances such as C(vllm/chat) whose start or restart is left to a call that follows. They go on as they run, with the files that
        they have, while what they need is fetched and checked.
    type: list
    elements: str
    default: []
    version_added: 0.9.0
  checked:
    description:
      - RV(checked) of a call just before this one, whose O(later) left these instances to it. Nothing is fetched, read or tried twice.
    type: dict
    default: {}
    version_added: 0.9.0
  lock_timeout:
    description:
      - Seconds to wait for another run of this module on the host. The terminal shows which run is waited for; after that time the
        task fails and names it.
    type: float
    default: 600
  gpu_lock_timeout:
    description:
      - Seconds to wait until no other instance loads on the GPUs of those that are to be stopped, as memory that is freed
        meanwhile can fail that start.
    type: float
    default: 900
  state_dir:
    description: Folder of the instance folders.
    type: path
    default: /etc/gpu-inference/instances
  runtime_dir:
    description: Folder of locks and state files.
    type: path
    default: /run/gpu-inference
  units_dir:
    description: Folder of systemd's unit files. Instances are enabled by a link in its C(gpu-inference.target.wants).
    type: path
    default: /etc/systemd/system
  docker:
    description: The Docker command line program.
    type: str
    default: docker
  systemctl:
    description: The systemctl program.
    type: str
    default: systemctl
  _run:
    description: For the action plugin, which tells who runs this and shows whom it waits for. Not for playbooks.
    type: dict
author:
  - llmops.gpu_inference contributors (@llmops)
seealso:
  - module: llmops.gpu_inference.endpoint_ready
"""

EXAMPLES = r"""
- name: Run one vLLM instance, and no other
  llmops.gpu_inference.container_units:
    kinds: [vllm]
    instances:
      - kind: vllm
        name: chat
        image: vllm/vllm-openai:v0.32.0
        command: [--config, /etc/vllm/config.yaml]
        docker_arguments:
          - --init
          - --runtime=nvidia
          - --env=NVIDIA_VISIBLE_DEVICES=GPU-8f6a2f3e-1c5b-4a54-9f0e-0c1f6f0f5a11
          - --publish=127.0.0.1:8070:8000
          - --volume=/etc/gpu-inference/instances/vllm/chat/config.yaml:/etc/vllm/config.yaml:ro
        networks: [inference_engines]
        files:
          config.yaml: |
            model: Qwen/Qwen3-VL-4B-Instruct-FP8
            served-model-name: [chat]
            host: 0.0.0.0
            port: 8000
        secret_environment:
          VLLM_API_KEY: "{{ vllm_api_key }}"
        locks: [GPU-8f6a2f3e-1c5b-4a54-9f0e-0c1f6f0f5a11]
        probe:
          base_url: http://127.0.0.1:8070/v1
          model: chat
          api_key_variable: VLLM_API_KEY
        watchdog: 120
  become: true

- name: Remove all Ollama instances of this host
  llmops.gpu_inference.container_units:
    kinds: [ollama]
    instances: []
  become: true
"""

RETURN = r"""
started:
  description: Instances that were not running and were started.
  returned: success
  type: list
  elements: str
  sample: [vllm/chat]
restarted:
  description: Instances that ran with another configuration and were restarted.
  returned: success
  type: list
  elements: str
  sample: []
reloaded:
  description: Instances whose launcher took over new settings, or a new program, while the container went on.
  returned: success
  type: list
  elements: str
  sample: []
replaced:
  description: Instances whose live files were replaced.
  returned: success
  type: list
  elements: str
  sample: [litellm/gateway]
stopped:
  description: Instances that were stopped, in order to restart or to remove them.
  returned: success
  type: list
  elements: str
  sample: []
removed:
  description: Instances that were removed.
  returned: success
  type: list
  elements: str
  sample: [ollama/old]
unchanged:
  description: Instances for which nothing had to be done.
  returned: success
  type: list
  elements: str
  sample: [vllm/embedding]
pending:
  description:
    - Instances that differ from what runs, with O(restart=false), those of O(later), and those that wait for the next run because another
      one was refused.
  returned: always
  type: list
  elements: str
  sample: []
joined:
  description: Pairs of changed instances of which one takes a GPU, a port or main memory that the other one holds until it stops.
  returned: always
  type: list
  elements: list
  sample: [["vllm/chat", "vllm/embedding"]]
checked:
  description: Of O(later), what has been fetched, read by its image and tried by Docker, for O(checked) of the call that follows.
  returned: always
  type: dict
  sample: {"vllm/chat": "0123456789abcdef"}
regrouped:
  description: Restarted parts of engines over several hosts that run with parts of the same change alone, with the hosts of these.
  returned: always
  type: dict
  sample: {"vllm/big": ["spark1", "spark2"]}
unproved:
  description: Instances whose newest release is not what they are to run, with the number of that release, or null where there is none.
  returned: with O(proof)
  type: dict
  sample: {"vllm/chat": 3}
went_back:
  description: The numbers of the releases that instances went to.
  returned: always
  type: dict
  sample: {"vllm/chat": 3}
probes:
  description: How these instances are asked, since O(instances) does not say it.
  returned: always
  type: dict
  sample: {"vllm/chat": {"base_url": "http://127.0.0.1:8070/v1", "model": "chat"}}
images:
  description: Images that were pulled.
  returned: with O(prefetch=true)
  type: list
  elements: str
  sample: ["vllm/vllm-openai:v0.32.0"]
models:
  description: Instances for which something was downloaded.
  returned: with O(prefetch=true)
  type: list
  elements: str
  sample: [vllm/chat]
units:
  description:
    - Unit, container, configuration hash, action and its reason, for each instance. Actions are V(keep), V(start), V(restart), V(reload),
      V(remove), V(refused) and V(held). The terminal shows those that do something.
  returned: success
  type: dict
  sample:
    vllm/chat:
      unit: vllm@chat.service
      container: vllm-chat
      config_hash: 3f0f6c0a4b0e7d0e2a8c4f6f1d5a9b3c7e1f2a4b6c8d0e2f4a6b8c0d2e4f6a8b
      action: restart
      reason: "the running container has another configuration: image vllm/vllm-openai:v0.31.0 -> vllm/vllm-openai:v0.32.0"
held_by:
  description: The run that works on this host, its command, its user, its controller, its process there and the module's process here.
  returned: when O(lock_timeout) has passed
  type: str
  sample: ansible-playbook site.yml of alice on control1 (process 812 there), since 2026-11-20 13:40:00 UTC, process 4711 on this host
"""

import getpass
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.llmops.gpu_inference.plugins.module_utils._container_units import Reconciler
from ansible_collections.llmops.gpu_inference.plugins.module_utils._docker_cli import Docker, DockerDown
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import Paths
from ansible_collections.llmops.gpu_inference.plugins.module_utils._prefetch import prefetch
from ansible_collections.llmops.gpu_inference.plugins.module_utils._releases import go_back
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_errors import LockHeldError, UnitsError
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_options import ARGUMENTS
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_releases import Proof
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_report import told_of_failures
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_wanted import want_all
from ansible_collections.llmops.gpu_inference.plugins.module_utils._unit_work import Settings


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    parameters = module.params
    run = parameters["_run"] or {}
    settings = Settings(
        paths=Paths(Path(parameters["state_dir"]), Path(parameters["runtime_dir"]), parameters["docker"]),
        kinds=tuple(parameters["kinds"]),
        systemctl=parameters["systemctl"],
        wants_dir=Path(parameters["units_dir"]) / "gpu-inference.target.wants",
        purge=parameters["purge"],
        restart=parameters["restart"],
        later=frozenset(parameters["later"]),
        checked=parameters["checked"],
        lock_timeout=min(parameters["lock_timeout"], float(run.get("patience", "inf"))),
        gpu_lock_timeout=parameters["gpu_lock_timeout"],
        proof=Proof.of(parameters["proof"]) if parameters["proof"] else None,
        boots_proved=parameters["boots_proved"],
        check_mode=module.check_mode,
    )
    docker = Docker(settings.paths.docker)
    went_back: dict[str, int] = {}
    try:
        instances = parameters["instances"]
        if parameters["releases"]:
            instances, went_back = go_back(instances, parameters["releases"], settings.paths, docker)
        wanted = want_all(instances, settings.kinds)
        if parameters["prefetch"]:
            fetched = prefetch(wanted, docker, check_mode=module.check_mode)
            result = {"changed": fetched.changed, "images": fetched.images, "models": fetched.models}
            if fetched.failures:
                module.fail_json(msg="\n".join(fetched.failures), **result)
            module.exit_json(**result)
        reconciler = Reconciler(settings)
        act = reconciler.place_live if parameters["live_only"] else reconciler.apply
        report = act(wanted, who=run.get("by") or os.environ.get("SUDO_USER") or getpass.getuser())
    except LockHeldError as error:
        module.fail_json(msg=str(error), held_by=error.holder)
    except DockerDown as down:
        module.fail_json(msg=f"Docker does not answer: {down}")
    except UnitsError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"cannot work on {error.filename or 'a file'}: {error.strerror or error}")
    for warning in report.warnings:
        module.warn(warning)
    result = {
        "changed": report.changed,
        "started": report.started,
        "restarted": report.restarted,
        "reloaded": report.reloaded,
        "replaced": report.replaced,
        "stopped": report.stopped,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "pending": report.pending,
        "joined": report.joined,
        "regrouped": report.regrouped,
        "checked": report.checked,
        "units": report.units,
        "diff": report.diff,
        "unproved": report.unproved,
        "went_back": went_back,
        "probes": {f"{one['kind']}/{one['name']}": one["probe"] for one in instances if f"{one['kind']}/{one['name']}" in went_back},
    }
    if report.failures:
        module.fail_json(msg=told_of_failures(report, settings.paths), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
