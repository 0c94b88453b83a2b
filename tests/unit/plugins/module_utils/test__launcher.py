# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils import _launcher as launcher
from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes import Cause, Diagnosis
from ansible_collections.llmops.gpu_inference.plugins.module_utils._launcher import Container, Spec, SpecError, Watch
from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import LABEL, OWNER, FileLock

SERVICE: dict[str, t.Any] = {
    "owner": OWNER,
    "kind": "vllm",
    "name": "chat",
    "image": "vllm/vllm-openai:v0.32.0",
    "config_hash": "abc",
    "command": ["--config", "/etc/vllm/config.yaml"],
    "docker_arguments": ["--init", "--publish=127.0.0.1:8070:8000", "-p", "127.0.0.1:9000:9000", "--shm-size=1g"],
    "networks": ["inference_engines", "extra"],
    "locks": ["GPU-b", "GPU-a", "GPU-b"],
    "probe": {"base_url": "http://127.0.0.1:8070/v1", "model": "chat", "api_key_variable": "VLLM_API_KEY"},
    "secret_names": ["VLLM_API_KEY"],
    "a_key_of_the_future": 1,
}


def spec(**changes: t.Any) -> Spec:
    return launcher.parse_spec(json.dumps({**SERVICE, **changes}), "vllm", "chat")


def container(**changes: t.Any) -> Container:
    labels = {LABEL + "owner": OWNER, LABEL + "instance": "vllm/chat", LABEL + "config-hash": "abc", LABEL + "locks": "GPU-a,GPU-b"}
    labels.update({LABEL + key.replace("_", "-"): value for key, value in changes.pop("labels", {}).items()})
    return replace(Container("c1", "vllm-chat", True, 0, False, "2026-11-20T10:00:00.5Z", labels), **changes)


def test_spec_is_read() -> None:
    read = spec()
    assert (read.unit, read.container, read.instance) == ("vllm@chat.service", "vllm-chat", "vllm/chat")
    assert read.locks == ("GPU-a", "GPU-b")  # a fixed order, so that nobody waits in a circle
    assert read.probe is not None
    assert (read.probe.health_path, read.probe.level) == ("/health", "answer")
    assert (read.start_timeout, read.stop_timeout, read.restart_limit) == (900.0, 60.0, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        (json.dumps({**SERVICE, "owner": "me"}), "owner marker"),
        (json.dumps({**SERVICE, "name": "other"}), "is that of vllm/other"),
        (json.dumps({**SERVICE, "image": ""}), "no image"),
        (json.dumps({**SERVICE, "locks": "GPU-a"}), "locks is not a list"),
        (json.dumps({**SERVICE, "probe": {"model": "x"}}), "base_url"),
        (json.dumps({**SERVICE, "start_timeout": "soon"}), "wrong type"),
    ],
)
def test_bad_spec_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        launcher.parse_spec(text, "vllm", "chat")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("A=1\nB=x=y\n", {"A": "1", "B": "x=y"}), ("# note\nA= 1\n\nC\n", {"A": " 1"}), ("", {})],
)
def test_env_file(text: str, expected: dict[str, str]) -> None:
    assert launcher.parse_env(text) == expected


def test_create_argv_has_labels_and_no_secret() -> None:
    argv = launcher.create_argv(spec(entrypoint="vllm"), "/x/env")
    assert argv[:7] == ["create", "--name", "vllm-chat", "--pull", "never", "--env-file", "/x/env"]
    assert [argv[n + 1] for n, word in enumerate(argv) if word == "--label"] == [
        f"{LABEL}owner={OWNER}",
        f"{LABEL}instance=vllm/chat",
        f"{LABEL}config-hash=abc",
        f"{LABEL}locks=GPU-a,GPU-b",
    ]
    assert argv[argv.index("--network") + 1] == "inference_engines"
    assert argv.count("--network") == 1
    assert argv[-5:] == ["--entrypoint", "vllm", "vllm/vllm-openai:v0.32.0", "--config", "/etc/vllm/config.yaml"]
    assert "VLLM_API_KEY" not in " ".join(argv)


def test_log_driver_of_the_user_stays() -> None:
    argv = launcher.create_argv(spec(docker_arguments=["--log-driver=journald"]), "/x/env")
    assert [word for word in argv if word.startswith("--log-")] == ["--log-driver=journald"]


def test_download_publishes_no_port() -> None:
    argv = launcher.download_argv(spec(download_command=["-c", "get"], download_entrypoint="python3"), "/x/env")
    assert "8070" not in " ".join(argv)
    assert "9000" not in " ".join(argv)
    assert "--shm-size=1g" in argv
    assert argv[-5:] == ["--entrypoint", "python3", "vllm/vllm-openai:v0.32.0", "-c", "get"]


@pytest.mark.parametrize(
    ("found", "decision"),
    [
        (None, launcher.ABSENT),
        (container(), launcher.ADOPT),
        (container(running=False), launcher.REPLACE),
        (container(labels={"config_hash": "old"}), launcher.REPLACE),
        (container(labels={"owner": "me"}), launcher.FOREIGN),
        (container(labels={"instance": "vllm/other"}), launcher.FOREIGN),
    ],
)
def test_decide_existing(found: Container | None, decision: str) -> None:
    assert launcher.decide_existing(found, spec()) == decision


LOADING = {"container_id": "c1", "phase": "loading_weights", "loading": True}
NEIGHBOUR = {"instance": "vllm/ocr"}


@pytest.mark.parametrize(
    ("neighbour", "state", "alive", "disturbs"),
    [
        (container(labels=NEIGHBOUR), LOADING, True, True),
        (container(labels=NEIGHBOUR), LOADING, False, True),
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "ready", "loading": False}, True, False),
        # Its launcher was killed while it served: the engine has long got its memory.
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "ready", "loading": False}, False, False),
        # The state speaks of an earlier container.
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "ready", "container_id": "c0"}, True, True),
        # Ollama's server runs, and gets its models without the GPU.
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "downloading", "loading": False}, True, False),
        (container(labels=NEIGHBOUR), {**LOADING, "phase": "downloading", "loading": False}, False, True),
        (container(labels=NEIGHBOUR), None, False, True),
        (container(labels=NEIGHBOUR, running=False), LOADING, True, False),
        (container(labels={**NEIGHBOUR, "locks": "GPU-c"}), LOADING, True, False),
        (container(labels={**NEIGHBOUR, "locks": ""}), LOADING, True, False),
        (container(), LOADING, True, False),  # our own
    ],
)
def test_may_disturb(neighbour: Container, state: dict[str, t.Any] | None, alive: bool, disturbs: bool) -> None:
    assert launcher.may_disturb(neighbour, spec(), state, alive) is disturbs


def test_backoff_grows_to_a_limit() -> None:
    backoff = launcher.Backoff()
    assert [backoff.delay(failures) for failures in (0, 1, 2, 3, 4, 5, 50)] == [0, 0, 10, 20, 40, 80, 120]


@pytest.mark.parametrize(("before", "ready_for", "after"), [(0, 0, 1), (3, 0, 4), (3, 299, 4), (3, 300, 1)])
def test_count_failure(before: int, ready_for: float, after: int) -> None:
    assert launcher.count_failure(before, ready_for) == after


@pytest.mark.parametrize(
    ("cause", "permanent", "failures", "expected"),
    [
        (Cause.OUT_OF_MEMORY, False, 4, (Cause.OUT_OF_MEMORY, False)),
        (Cause.OUT_OF_MEMORY, False, 5, (Cause.OUT_OF_MEMORY, True)),  # the true cause says more than that it came often
        (Cause.UNKNOWN, False, 5, (Cause.CRASH_LOOP, True)),
        (Cause.BAD_FLAG, True, 1, (Cause.BAD_FLAG, True)),
    ],
)
def test_verdict(cause: Cause, permanent: bool, failures: int, expected: tuple[Cause, bool]) -> None:
    found = launcher.verdict(Diagnosis(cause, "text", permanent=permanent), failures, 5)
    assert (found.cause, found.permanent) == expected


def test_watch_knows_busy_idle_and_hung_engines() -> None:
    watch = Watch(limit=30, last_sign=0).observe(10, True, 100.0)
    assert not watch.hung(40)
    assert watch.hung(41)
    busy = watch.observe(40, False, 120.0)  # no answer in time, but its counters move
    assert not busy.hung(70)
    hung = busy.observe(60, False, 120.0)
    assert hung.hung(71)
    assert not hung.excuse(71).hung(100)
    assert not Watch(limit=0, last_sign=0).hung(10**6)


def test_activity_sums_the_work_counters() -> None:
    metrics = """# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
vllm:prompt_tokens_total{engine="0",model_name="chat"} 21.0
vllm:generation_tokens_total{engine="0",model_name="chat"} 4.0
vllm:prompt_tokens_created{engine="0",model_name="chat"} 1.79e+09
vllm:num_requests_running{engine="0"} 1.0
"""
    assert launcher.activity(metrics) == 25.0
    assert launcher.activity("nothing 1") is None


@pytest.mark.parametrize(
    ("present", "wanted", "missing"),
    [
        (["qwen3-vl:4b-instruct"], ["qwen3-vl:4b-instruct"], []),
        (["llama3:latest"], ["llama3"], []),
        (["llama3:8b"], ["llama3"], ["llama3"]),
        (["hf.co/a/b:Q4"], ["hf.co/a/b:Q4", "x:1"], ["x:1"]),
        ([], ["registry:5000/a/b"], ["registry:5000/a/b"]),
    ],
)
def test_missing_models(present: list[str], wanted: list[str], missing: list[str]) -> None:
    assert launcher.missing_models({"models": [{"name": name} for name in present]}, wanted) == missing


@pytest.mark.parametrize(
    ("models", "share"),
    [([], 0), ([{"size": 100, "size_vram": 100}], 0), ([{"size": 100, "size_vram": 40}], 60), ([{"size": 10}], 100)],
)
def test_cpu_share(models: list[dict[str, int]], share: int) -> None:
    assert launcher.cpu_share({"models": models}) == share


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (b"2026-11-20T10:38:29.651981079Z INFO: up\n", ("2026-11-20T10:38:29.651981079Z", b"INFO: up\n")),
        (b"2026-11-20T10:38:29.651981079Z \n", ("2026-11-20T10:38:29.651981079Z", b"\n")),
        (b"Error response from daemon: x\n", ("", b"Error response from daemon: x\n")),
    ],
)
def test_split_timestamp(raw: bytes, parts: tuple[str, bytes]) -> None:
    assert launcher.split_timestamp(raw) == parts


@pytest.mark.parametrize(
    ("text", "down"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", True),
        ("error during connect: Get http://x", True),
        ("Error response from daemon: No such container: vllm-chat", False),
    ],
)
def test_daemon_down(text: str, down: bool) -> None:
    assert launcher.daemon_down(text) is down


def test_inspect_is_read() -> None:
    document = {
        "Id": "c1",
        "Name": "/vllm-chat",
        "State": {"Running": False, "ExitCode": 137, "OOMKilled": True, "StartedAt": "2026-11-20T10:00:00Z"},
        "Config": {"Labels": {LABEL + "owner": OWNER, LABEL + "locks": "a,b"}},
    }
    found = launcher.parse_inspect(json.dumps([document]))[0]
    assert (found.name, found.running, found.exit_code, found.oom_killed, found.owned) == ("vllm-chat", False, 137, True, True)
    assert found.locks == ("a", "b")
    assert launcher.parse_inspect("") == []


def test_start_time_is_read() -> None:
    assert launcher.parse_time("2026-11-20T10:00:00.123456789Z") == 1795168800.0


def test_commands_end_with_their_time_limit_and_with_a_stop() -> None:
    assert launcher.run_process([sys.executable, "-c", "print('a'); import sys; sys.exit(3)"], 20).rc == 3
    assert launcher.run_process(["sleep", "30"], 0.3).rc == 124
    with pytest.raises(launcher.Stopped):
        launcher.run_process(["sleep", "30"], 30, cancelled=lambda: True)
    seen: list[str] = []
    launcher.run_process(["printf", "one\\ntwo\\n"], 20, on_line=seen.append)
    assert seen == ["one", "two"]


def test_lock_is_exclusive_between_processes_and_freed_by_death(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from ansible_collections.llmops.gpu_inference.plugins.module_utils._node import FileLock\n"
        f"lock = FileLock(Path({str(tmp_path)!r}) / 'gpu.lock')\n"
        "assert lock.try_lock('other')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)})
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    lock = FileLock(tmp_path / "gpu.lock")
    assert not lock.try_lock("me")
    assert launcher.lock_holder(lock.path) == "held by other"
    other.kill()
    other.wait()
    other.stdout.close()
    assert lock.try_lock("me")
    lock.release()


def test_node_files_work_side_by_side(tmp_path: Path) -> None:
    """On a node there is no collection: the files lie in one folder, and an old Python may run them."""
    source = Path(launcher.__file__).parent
    for name in ("_launcher.py", "_node.py", "_progress.py", "_probe.py", "_causes.py"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "_launcher.py"), "--help"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-S", str(tmp_path / "_launcher.py"), "run", "../x"], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("rc", "lines", "expected"),
    [
        pytest.param(0, ["GPU 0: NVIDIA GB10 (UUID: GPU-1)"], None, id="there"),
        pytest.param(0, ["No devices found."], "lists no GPU", id="none-listed"),
        pytest.param(255, ["Failed to initialize NVML: Unknown Error"], "NVML: Unknown Error", id="taken-by-a-daemon-reload"),
        pytest.param(18, ["Failed to initialize NVML: Driver/library version mismatch"], "mismatch", id="driver-updated"),
        pytest.param(127, ['exec: "nvidia-smi": executable file not found in $PATH: unknown'], None, id="image-without-it"),
        pytest.param(1, ["Error response from daemon: container f3f3 is not running"], None, id="container-is-going"),
        pytest.param(137, [], None, id="killed"),
    ],
)
def test_lost_gpu(rc: int, lines: list[str], expected: str | None) -> None:
    found = launcher.lost_gpu(rc, lines)
    assert (found is None) is (expected is None)
    assert expected is None or expected in str(found)
