#!/usr/bin/python
# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_ready
short_description: Wait until inference endpoints really answer, and say why one does not
version_added: 0.9.0
author:
  - llmops.gpu_inference contributors (@llmops)
description:
  - Polls any number of OpenAI-compatible endpoints (vLLM, Ollama, LiteLLM and others) in parallel until each has answered at the
    wanted level, up to one tiny real request of its capability.
  - Watches the systemd unit of an endpoint beside its port. An answer counts only when it came from the process that the unit runs now.
  - Returns as soon as waiting is pointless. When the unit has failed, the configuration cannot work, or the server refuses the key,
    the task fails at once with a classified cause, a remedy and the redacted log lines, however long O(timeout) is.
  - >-
    Lines of the endpoints that change are shown while the task waits,
    for example V(node1 chat: loading weights 43 % (1 m 12 s\)).
extends_documentation_fragment:
  - llmops.gpu_inference._attributes
attributes:
  check_mode:
    support: full
    details:
      - In check mode no request is sent and no unit is looked at; RV(would_poll) lists what would be polled.
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: full
    details:
      - The module never changes anything; a probe at the level V(answer) costs the endpoint a request of at most two generated tokens.
options:
  endpoints:
    description:
      - The endpoints to wait for. All are polled at the same time.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - A short name for messages and results.
        type: str
        required: true
      base_url:
        description:
          - The root of the OpenAI API, beginning with V(http://) or V(https://); for vLLM, Ollama and LiteLLM it ends in V(/v1).
        type: str
        required: true
      health_path:
        description:
          - The path of the health check at the server's root (not below the base URL's path), for LiteLLM V(/health/readiness).
          - Empty for servers without one.
        type: str
        default: /health
      level:
        description:
          - How much must be proved. Each level contains those before it.
          - V(open) means that something answers HTTP.
          - V(health) means that the health path answers with a 2xx status.
          - V(model) means that O(endpoints[].model) is listed under V(/models) of the base URL. A server without a health path
            (status 404) passes too when it lists its models.
          - V(answer) means that one small real request of O(endpoints[].capability) was answered sensibly.
            Only this level shows that an engine works.
        type: str
        choices: [open, health, model, answer]
        default: answer
      capability:
        description:
          - What the endpoint is for, which selects the request of the level V(answer).
          - V(chat) asks for at most two tokens, V(embedding) for one vector, V(rerank) for the scores of two documents,
            V(transcription) for the text of one second of sound in WAV format.
        type: str
        choices: [chat, embedding, rerank, transcription]
        default: chat
      modalities:
        description:
          - What a chat model takes. With V(image) among them, the request carries a small PNG image.
        type: list
        elements: str
        default: []
      model:
        description:
          - The name under which the model is served. Without it, any model will do, and the first one listed gets the request.
        type: str
      further_models:
        description:
          - Other names that must be listed too, such as those of the LoRA adapters of a vLLM engine. They get no request.
        type: list
        elements: str
        default: []
      speaks:
        description:
          - V(openai) is an OpenAI-compatible API. V(tei) is that of Text Embeddings Inference, which lists no models, so that
            V(model) is not proven, and which takes C(texts) to rank at the root of the server.
        type: str
        choices: [openai, tei]
        default: openai
      api_key:
        description:
          - The key, sent as a bearer token. It is taken out of all messages and log lines.
        type: str
      dimension:
        description:
          - The dimension that an embedding must have. Without it any is accepted and returned.
        type: int
      unit:
        description:
          - The systemd unit that runs this endpoint on the same host, for example V(vllm@chat.service).
          - Its state and the state file of its launcher decide whether waiting makes sense, whatever answers on the port.
        type: str
      config_hash:
        description:
          - The configuration hash that the running instance must have according to its launcher.
            Used only together with O(endpoints[].unit).
        type: str
      required:
        description:
          - Whether the task fails without this endpoint. One that is not required is looked at as long as others are waited for,
            and at least once.
        type: bool
        default: true
      validate_certs:
        description:
          - Whether the certificate of an https endpoint must be valid.
        type: bool
        default: true
      ca_path:
        description:
          - A file with the certificates of the authorities to trust for an https endpoint, on the host where the probe runs.
        type: path
      ca:
        description:
          - Certificates of authorities to trust for an https endpoint, as PEM, beside those of O(endpoints[].ca_path) or of the system.
        type: str
  timeout:
    description:
      - How many seconds to wait at most, for all endpoints together.
    type: int
    default: 900
  interval:
    description:
      - Seconds between two looks at an endpoint. The next look begins when the previous one has ended.
    type: float
    default: 1.0
  request_timeout:
    description:
      - Seconds that one request may take. The light requests (health, list of models) never get more than 10.
    type: float
    default: 30.0
  container:
    description:
      - The name of a running container from whose inside the endpoints are asked, with C(docker exec) and the container's own C(python3).
        This shows what the gateway sees, its DNS, networks and keys included.
      - The units given in O(endpoints[].unit) are still those of the host.
    type: str
  progress:
    description:
      - Whether to show progress lines while waiting; without a terminal one for each endpoint and phase, at most one a minute.
    type: bool
    default: true
  state_dir:
    description:
      - Where the launchers keep their state files.
    type: path
    default: /run/gpu-inference/state
  _slice:
    description: For the action plugin, which shows the progress between calls of the module. Not for playbooks.
    type: dict
requirements:
  - The Python library requests on the host that runs the module, except with O(container).
  - systemd on that host where O(endpoints[].unit) is used; read access to the journal adds log lines to failures.
notes:
  - Proxies from the environment, C(.netrc) and redirects are not used, so that the answer is the endpoint's own.
seealso:
  - name: vLLM OpenAI-compatible server
    description: The routes that are probed, and which of them a key guards.
    link: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
  - name: LiteLLM health checks
    description: Why C(/health/readiness) says nothing about the engines behind the gateway.
    link: https://docs.litellm.ai/docs/proxy/health
  - module: ansible.builtin.uri
  - module: ansible.builtin.wait_for
"""

EXAMPLES = r"""
- name: Wait for a chat model and its unit
  llmops.gpu_inference.endpoint_ready:
    endpoints:
      - name: chat
        base_url: http://127.0.0.1:8070/v1
        model: chat
        api_key: "{{ vllm_api_key }}"
        unit: vllm@chat.service
    timeout: 1200

- name: Wait for all engines of this host at once, each with a real request
  llmops.gpu_inference.endpoint_ready:
    endpoints:
      - name: vision
        base_url: http://127.0.0.1:8071/v1
        model: vision
        modalities: [text, image]
        unit: vllm@vision.service
      - name: embedding
        base_url: http://127.0.0.1:8090/v1
        model: embedding
        capability: embedding
        dimension: 1024
        unit: vllm@embedding.service
      - name: speech
        base_url: http://127.0.0.1:8072/v1
        model: asr
        capability: transcription
        unit: vllm@asr.service

- name: See every engine as the gateway sees it
  llmops.gpu_inference.endpoint_ready:
    container: litellm-gateway
    endpoints:
      - name: chat
        base_url: http://vllm-chat:8000/v1
        model: chat
        api_key: "{{ vllm_api_key }}"
    timeout: 60

- name: Ask the gateway for every model, and go on without the external one
  llmops.gpu_inference.endpoint_ready:
    endpoints:
      - name: chat
        base_url: http://127.0.0.1:8400/v1
        health_path: /health/readiness
        model: chat
        api_key: "{{ inference_secrets.master_key }}"
      - name: external
        base_url: https://llm.example.com/v1
        health_path: ""
        level: model
        required: false
        api_key: "{{ external_key }}"
  register: gateway

- name: Show how long it took
  ansible.builtin.debug:
    msg: "{{ gateway.endpoints | items2dict(key_name='name', value_name='waited') }}"
"""

RETURN = r"""
endpoints:
  description: One entry for each endpoint, in the order given.
  returned: outside check mode
  type: list
  elements: dict
  contains:
    name:
      description: The name given.
      type: str
      sample: chat
    base_url:
      description: The base URL given.
      type: str
      sample: http://127.0.0.1:8070/v1
    ready:
      description: Whether the wanted level was reached, by the process that the unit runs.
      type: bool
    level:
      description: The highest level that the last probe reached; null when nothing answered.
      type: str
      sample: answer
    cause:
      description:
        - Why the endpoint is not ready. Null when it is, and when the wait ended because of another endpoint.
        - A ready endpoint may have the cause V(partly_on_cpu), which is also shown as a warning.
        - One of V(dns), V(refused), V(timeout), V(tls_mismatch), V(auth), V(not_openai), V(wrong_model), V(stale_server), V(unit_failed),
          V(crash_loop), V(out_of_memory), V(download_failed), V(registry_tls), V(registry_down), V(image_missing), V(bad_flag),
          V(bad_model), V(context_too_long), V(kv_cache_too_small), V(shared_memory), V(port_in_use), V(gpu_lost), V(runtime_missing),
          V(partly_on_cpu), V(bad_answer), V(docker_down), V(group_ended), V(unknown).
      type: str
      sample: out_of_memory
    message:
      description: What was tried and what came back.
      type: str
      sample: "GET http://127.0.0.1:8070/v1/models: the model chat is not served there; served: embedding"
    remedy:
      description: What to do about it.
      type: str
    log_lines:
      description: The telling lines of the engine's log, without secrets.
      type: list
      elements: str
    phase:
      description:
        - What the launcher of the unit is doing; null when there is no launcher and the endpoint is not ready.
        - One of V(pulling), V(downloading), V(waiting_for_gpu), V(waiting_for_members), V(starting), V(loading_weights), V(compiling),
          V(capturing_graphs), V(warming_up), V(ready), V(stopping), V(stopped), V(failed).
      type: str
      sample: loading_weights
    percent:
      description: How far the phase has come, in per cent, where that is known.
      type: int
      sample: 43
    waited:
      description: Seconds from the beginning of the task until this endpoint was ready or given up.
      type: float
      sample: 71.52
    latency:
      description: Seconds that the last request took; at the level V(answer) this is the real request.
      type: float
      sample: 0.213
    models:
      description: The models that the server lists.
      type: list
      elements: str
      sample: [chat, LLM]
    dimension:
      description: The dimension of the embedding that came back.
      type: int
      sample: 1024
    required:
      description: Whether the endpoint was required.
      type: bool
    unit:
      description: The unit given.
      type: str
      sample: vllm@chat.service
waited:
  description: Seconds that the task waited in all.
  returned: outside check mode
  type: float
  sample: 72.6
would_poll:
  description: What would be polled, without keys.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {name: chat, base_url: "http://127.0.0.1:8070/v1", level: answer, capability: chat, model: chat, unit: vllm@chat.service}
msg:
  description: The failure in words, one paragraph for each endpoint that is not ready.
  returned: on failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.llmops.gpu_inference.plugins.module_utils._endpoint_ready_run import RunError, run, would_poll
from ansible_collections.llmops.gpu_inference.plugins.module_utils._probers import HAS_REQUESTS
from ansible_collections.llmops.gpu_inference.plugins.module_utils._ready_options import argument_spec


def main() -> None:
    spec = argument_spec()
    # Set by the action plugin, which shows the progress between calls.
    spec["_slice"] = {"type": "dict"}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False, would_poll=would_poll(module.params))
    if not HAS_REQUESTS and not module.params["container"]:
        module.fail_json(
            msg=missing_required_lib("requests", reason="to ask the endpoints; on Debian and Ubuntu it is the package python3-requests")
        )
    try:
        result = run(module.params)
    except RunError as exc:
        module.fail_json(msg=str(exc))
    if result.failure:
        module.fail_json(msg=result.failure, changed=False, **result.values)
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(changed=False, **result.values)


if __name__ == "__main__":
    main()
