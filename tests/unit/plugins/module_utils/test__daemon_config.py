# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.llmops.gpu_inference.plugins.module_utils._daemon_config import merge
from ansible_collections.llmops.gpu_inference.plugins.module_utils._daemon_document import decode

NVIDIA = {"runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}}

# What `nvidia-ctk runtime configure --runtime=docker` 1.20 makes of each start (features aside: it deletes the other ones, we keep them).
LIKE_NVIDIA_CTK: list[tuple[str | None, dict[str, t.Any]]] = [
    (None, NVIDIA),
    ("{}", NVIDIA),
    ('{"data-root": "/srv/docker"}', {"data-root": "/srv/docker", **NVIDIA}),
    (
        '{"log-opts": {"max-size": "10m"}, "default-address-pools": [{"base": "10.201.0.0/16", "size": 24}]}',
        {"log-opts": {"max-size": "10m"}, "default-address-pools": [{"base": "10.201.0.0/16", "size": 24}], **NVIDIA},
    ),
    (
        '{"runtimes": {"crun": {"path": "/usr/bin/crun"}}, "default-runtime": "crun"}',
        {"runtimes": {"crun": {"path": "/usr/bin/crun"}, **NVIDIA["runtimes"]}, "default-runtime": "crun"},
    ),
    (
        '{"runtimes": {"nvidia": {"path": "/opt/old/nvidia-container-runtime", "runtimeArgs": ["--debug"]}}}',
        NVIDIA,
    ),
    ('{"features": {"buildkit": true}}', {"features": {"buildkit": True}, **NVIDIA}),
]


@pytest.mark.parametrize(("existing", "expected"), LIKE_NVIDIA_CTK)
def test_registers_the_runtime_as_nvidia_ctk_does(existing: str | None, expected: dict[str, t.Any]) -> None:
    result = merge(existing, NVIDIA)
    assert result.errors == ()
    assert result.document == expected
    assert json.loads(result.text) == expected
    assert result.action == "reload"
    assert result.changed_keys == ("runtimes",)
    again = merge(result.text, NVIDIA)
    assert (again.changed, again.action, again.text) == (False, "none", result.text)


def test_keeps_other_features_unlike_nvidia_ctk() -> None:
    result = merge('{"features": {"buildkit": true, "containerd-snapshotter": false}}', {"features": {"cdi": True}})
    assert result.document == {"features": {"buildkit": True, "containerd-snapshotter": False, "cdi": True}}
    assert result.action == "restart"


@pytest.mark.parametrize(
    ("existing", "message"),
    [
        ("[1]", "holds a list where Docker wants an object"),
        ('"text"', "holds a string"),
        ('{"debug": true,}', "is not valid JSON"),
        ('// comment\n{"debug": true}', "is not valid JSON: Expecting value in line 1, column 1"),
        ("not json", "is not valid JSON"),
        ('{"mtu": NaN}', "NaN"),
        ('{"debug": true, "debug": false}', "has the key 'debug' twice"),
        ('{"runtimes": "oops"}', 'runtimes is a string ("oops"), Docker wants an object'),
        ('{"runtimes": {"nvidia": "nvidia-container-runtime"}}', "runtimes.nvidia is a string"),
        ('{"features": {"cdi": "true"}}', "features.cdi is a string"),
        ('{"log-opts": {"max-file": {}}}', "log-opts.max-file is an object"),
        ('{"dns": "10.0.0.2"}', "dns is a string"),
        ('{"live-restore": "yes"}', "live-restore is a string"),
        ('{"mtu": true}', "mtu is true or false"),
        ('{"mtu": 1500.0}', "mtu is a number with a fraction (1500.0), Docker wants a whole number: write 1500."),
        ('{"mtu": 1.5e3}', "Docker wants a whole number: write 1500."),
        ('{"shutdown-timeout": 1.5}', "shutdown-timeout is a number with a fraction (1.5), Docker wants a whole number."),
        ("[" * 100000, "nested too deeply"),
    ],
)
def test_leaves_a_bad_file_alone(existing: str, message: str) -> None:
    result = merge(existing, NVIDIA)
    assert len(result.errors) == 1
    assert message in result.errors[0]
    assert "/etc/docker/daemon.json" in result.errors[0]
    assert "left as it is" in result.errors[0]
    assert (result.changed, result.action, result.text) == (False, "none", existing)


@pytest.mark.parametrize(
    ("existing", "wanted", "expected", "action"),
    [
        ({}, {"live-restore": True}, {"live-restore": True}, "reload"),
        ({"debug": True}, {"debug": True}, {"debug": True}, "none"),
        ({"debug": 1}, {"debug": True}, None, "none"),
        ({}, {"dns": None}, {}, "none"),
        ({"dns": ["10.0.0.2"]}, {"dns": ["1.1.1.1"]}, {"dns": ["1.1.1.1", "10.0.0.2"]}, "restart"),
        ({"dns": ["10.0.0.2", "1.1.1.1"]}, {"dns": ["1.1.1.1"]}, {"dns": ["10.0.0.2", "1.1.1.1"]}, "none"),
        ({"insecure-registries": ["a:5000"]}, {"insecure-registries": ["b:5000"]}, {"insecure-registries": ["b:5000", "a:5000"]}, "reload"),
        ({"registry-mirrors": ["https://m/"]}, {"registry-mirrors": ["https://m"]}, {"registry-mirrors": ["https://m/"]}, "none"),
        (
            {"exec-opts": ["native.cgroupdriver=systemd", "other=1"]},
            {"exec-opts": ["native.cgroupdriver=cgroupfs"]},
            {"exec-opts": ["other=1", "native.cgroupdriver=cgroupfs"]},
            "restart",
        ),
        ({"labels": ["a=1"]}, {"labels": ["a=1", "b=2"]}, {"labels": ["a=1", "b=2"]}, "reload"),
        (
            {"default-address-pools": [{"base": "10.1.0.0/16", "size": 24}]},
            {"default-address-pools": [{"base": "10.2.0.0/16", "size": 24}]},
            {"default-address-pools": [{"base": "10.2.0.0/16", "size": 24}]},
            "restart",
        ),
        (
            {"log-opts": {"labels": "x", "max-size": "1m"}},
            {"log-opts": {"max-size": "50m", "max-file": 5, "compress": True}},
            {"log-opts": {"labels": "x", "max-size": "50m", "max-file": "5", "compress": "true"}},
            "restart",
        ),
        ({}, {"max-concurrent-downloads": 2, "shutdown-timeout": 60}, {"max-concurrent-downloads": 2, "shutdown-timeout": 60}, "reload"),
        ({}, {"shutdown-timeout": 60, "data-root": "/x"}, {"shutdown-timeout": 60, "data-root": "/x"}, "restart"),
        (
            {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 1}}},
            {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 2, "Hard": 2}}},
            {"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 2, "Hard": 2}}},
            "restart",
        ),
        (
            {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}},
            NVIDIA,
            {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}},
            "none",
        ),
    ],
)
def test_merge(existing: dict[str, t.Any], wanted: dict[str, t.Any], expected: dict[str, t.Any] | None, action: str) -> None:
    before = json.dumps(existing)
    result = merge(before, wanted)
    if expected is None:
        assert result.errors
        return
    assert result.errors == ()
    assert result.document == expected
    assert result.action == action
    assert result.changed is (action != "none")
    if action == "none":
        assert result.text == before


def test_two_callers_with_a_list_each_do_not_take_turns() -> None:
    first, second = {"dns": ["10.0.0.1"]}, {"dns": ["10.0.0.2"]}
    text = merge(merge(None, first).text, second).text
    assert not merge(text, first).changed
    assert not merge(text, second).changed


DEFAULTS = {"live-restore": True, "log-driver": "local", "log-opts": {"max-size": "50m", "max-file": "5"}}


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        (None, {}, DEFAULTS),
        ('{"log-driver": "journald"}', {}, {"log-driver": "journald", "live-restore": True}),
        ("{}", {"log-driver": "journald"}, {"log-driver": "journald", "live-restore": True}),
        ('{"log-driver": "local"}', {}, DEFAULTS),
        ('{"live-restore": false}', {}, {**DEFAULTS, "live-restore": False}),
        ("{}", {"live-restore": False}, {**DEFAULTS, "live-restore": False}),
        # The options belong to json-file, the driver of a Docker that is told nothing: `labels` stops one that logs to `local`.
        (
            '{"log-opts": {"max-size": "10m", "labels": "app"}}',
            {},
            {"log-opts": {"max-size": "10m", "labels": "app"}, "live-restore": True},
        ),
        ('{"log-opts": {}}', {}, {"log-opts": {}, "live-restore": True}),
        ("{}", {"log-opts": {"tag": "x"}}, {"log-opts": {"tag": "x"}, "live-restore": True}),
        (
            '{"log-driver": "local", "log-opts": {"mode": "non-blocking"}}',
            {},
            {"log-opts": {"mode": "non-blocking"}, "log-driver": "local", "live-restore": True},
        ),
    ],
)
def test_defaults_fill_gaps_only(existing: str | None, wanted: dict[str, t.Any], expected: dict[str, t.Any]) -> None:
    result = merge(existing, wanted, defaults=DEFAULTS)
    assert result.errors == ()
    assert result.document == expected


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (["--log-driver=journald"], {"live-restore"}),
        (["--log-opt", "max-size=1m"], {"live-restore"}),
        (["--live-restore"], {"log-driver", "log-opts"}),
        (["-H", "fd://", "--debug"], {"live-restore", "log-driver", "log-opts"}),
    ],
)
def test_defaults_step_back_behind_the_command_line(flags: list[str], left: set[str]) -> None:
    result = merge("{}", {}, defaults=DEFAULTS, flags=flags)
    assert result.errors == ()
    assert set(result.document) == left


@pytest.mark.parametrize(
    ("existing", "default"),
    [
        ('{"bip": "10.1.0.1/24"}', {"bridge": "br0"}),
        ('{"bridge": "br0"}', {"bip": "10.1.0.1/24"}),
        ('{"bridge": "none"}', {"fixed-cidr": "10.0.0.0/24"}),
    ],
)
def test_defaults_step_back_behind_what_docker_does_not_start_with_beside_them(existing: str, default: dict[str, t.Any]) -> None:
    assert merge(existing, {}, defaults=default).document == json.loads(existing)


def test_a_swarm_gets_no_live_restore() -> None:
    assert "live-restore" not in merge("{}", {}, defaults=DEFAULTS, swarm=True).document
    (error,) = merge("{}", {"live-restore": True}, swarm=True).errors
    assert "part of a swarm" in error
    assert merge("{}", {"live-restore": False}, swarm=True).errors == ()


@pytest.mark.parametrize("content", [b"", b" \n", b"null", b"\xef\xbb\xbf", b"\xef\xbb\xbf{}", "{}".encode("utf-16")])
def test_what_docker_takes_for_an_empty_file(content: bytes) -> None:
    """Tried with dockerd 26.1, `--validate` and started."""
    text = decode(content)
    assert text is not None
    nothing = merge(text, {})
    assert (nothing.errors, nothing.changed, nothing.text) == ((), False, text)
    assert merge(text, NVIDIA).document == NVIDIA


def test_a_byte_order_mark_hides_no_key() -> None:
    text = decode(b'\xef\xbb\xbf{"debug": true}')
    assert merge(text, NVIDIA).document == {"debug": True, **NVIDIA}
    assert decode(b"\xff{}") is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"registry-mirrors": ["ftp://h"]}, 'registry-mirrors has "ftp://h", which is not an address'),
        ({"registry-mirrors": ["h"]}, "which is not an address"),
        ({"registry-mirrors": ["https://h/?x=1"]}, "with a query or fragment"),
        ({"registry-mirrors": ["https://user:secret@h"]}, 'registry-mirrors has "https://***@h", with a user or password'),
        ({"registry-mirrors": ["https://h:99999"]}, "which is not an address"),
        ({"registry-mirrors": [5]}, "which is not a string"),
        ({"insecure-registries": ["h/path"]}, "which is neither HOST"),
        ({"insecure-registries": ["a b"]}, "which is neither HOST"),
        ({"insecure-registries": [5]}, "which is not a string"),
        ({"dns": ["x"]}, "which is not an IP address"),
    ],
)
def test_values_that_only_the_start_would_refuse(wanted: dict[str, t.Any], message: str) -> None:
    """Each was tried with dockerd 26.1: all but `dns` pass `dockerd --validate`, and none is started with."""
    (error,) = merge("{}", wanted).errors
    assert message in error
    assert "secret" not in error


@pytest.mark.parametrize(
    "wanted",
    [
        {"registry-mirrors": ["https://h/path", "http://[::1]:5000"]},
        {"insecure-registries": ["http://h", "h:5000", "[::1]:5000", "10.0.0.0/8", "registry.testbed:5000"]},
        {"dns": ["10.0.0.2", "::1"]},
    ],
)
def test_values_that_docker_starts_with(wanted: dict[str, t.Any]) -> None:
    assert merge("{}", wanted).errors == ()


@pytest.mark.parametrize(
    ("existing", "unwanted", "expected"),
    [
        ({"debug": True, "mtu": 1400}, ["debug"], {"mtu": 1400}),
        ({"debug": True}, ["mtu"], {"debug": True}),
        ({"log-opts": {"max-size": "1m", "tag": "x"}}, ["log-opts.max-size"], {"log-opts": {"tag": "x"}}),
        ({"features": {"cdi": True}}, ["features.cdi"], {}),
        ({"features": {}}, ["features.cdi"], {"features": {}}),
        ({"runtimes": {"io.containerd.x.v1": {"path": "x"}}}, ["runtimes.io.containerd.x.v1"], {}),
        ({"insecure-registries": ["a", "b"]}, [{"insecure-registries": ["a"]}], {"insecure-registries": ["b"]}),
        ({"registry-mirrors": ["https://a/"]}, [{"registry-mirrors": "https://a"}], {}),
        ({"log-driver": "local"}, [{"log-driver": ["json-file"]}], {"log-driver": "local"}),
        ({"log-driver": "local"}, [{"log-driver": ["local"]}], {}),
        ({**NVIDIA, "default-runtime": "nvidia"}, ["runtimes.nvidia", {"default-runtime": ["nvidia"]}], {}),
    ],
)
def test_unwanted_keys_go(existing: dict[str, t.Any], unwanted: list[t.Any], expected: dict[str, t.Any]) -> None:
    result = merge(json.dumps(existing), {}, unwanted=unwanted)
    assert result.errors == ()
    assert result.document == expected


def test_a_key_both_unwanted_and_wanted_is_set_afresh() -> None:
    assert merge('{"dns": ["10.0.0.9"]}', {"dns": ["10.0.0.2"]}, unwanted=["dns"]).document == {"dns": ["10.0.0.2"]}


@pytest.mark.parametrize("unwanted", [["runtimes.nvidia"], [{"runtimes": 5}, ["list"]], [7], [""]])
def test_unwanted_that_cannot_be_followed(unwanted: list[t.Any]) -> None:
    existing = json.dumps({**NVIDIA, "default-runtime": "nvidia"})
    result = merge(existing, {}, unwanted=unwanted)
    assert result.errors
    assert (result.changed, result.text) == (False, existing)


def test_default_runtime_must_be_defined() -> None:
    (error,) = merge("{}", {"default-runtime": "nvidia"}).errors
    assert "default-runtime in /etc/docker/daemon.json would be 'nvidia'" in error
    assert merge("{}", {"default-runtime": "nvidia", **NVIDIA}).errors == ()
    assert merge("{}", {"default-runtime": "runc"}).errors == ()


@pytest.mark.parametrize(
    ("flags", "wanted", "named"),
    [
        (["-H", "fd://"], {"hosts": ["tcp://127.0.0.1:2375"]}, ["hosts", "-H"]),
        (["-Hfd://"], {"hosts": []}, ["hosts", "-H"]),
        (["--host=fd://"], {"hosts": []}, ["hosts", "--host"]),
        (["--insecure-registry", "a"], {"insecure-registries": ["b"]}, ["insecure-registries", "--insecure-registry"]),
        (["--log-driver=journald"], {"log-driver": "local"}, ["log-driver", "--log-driver"]),
        (["--add-runtime=x=/x"], NVIDIA, ["runtimes", "--add-runtime"]),
        (["--http-proxy=http://p"], {"proxies": {"http-proxy": "http://q"}}, ["proxies.http-proxy", "--http-proxy"]),
        (["--http-proxy=http://p"], {"proxies": {"no-proxy": "x"}}, []),
        (["-D"], {"debug": True}, ["debug", "-D"]),
        (["--containerd=/run/containerd/containerd.sock", "-H", "fd://"], NVIDIA, []),
    ],
)
def test_clashes_with_flags_are_named(flags: list[str], wanted: dict[str, t.Any], named: list[str]) -> None:
    result = merge("{}", wanted, flags=flags)
    if not named:
        assert result.errors == ()
        return
    (error,) = result.errors
    assert all(name in error for name in named)
    assert result.changed is False


def test_wrong_type_of_a_wanted_key_is_not_blamed_on_the_file() -> None:
    (error,) = merge("{}", {"dns": "10.0.0.2"}).errors
    assert error.startswith("wanted daemon configuration: dns is a string")


@pytest.mark.parametrize("special", ["<&>", "ünïcode", "\u2028"])
def test_values_survive_the_round_trip(special: str) -> None:
    result = merge(json.dumps({"labels": [special]}), {"debug": True})
    assert json.loads(result.text)["labels"] == [special]


INFO = {
    "ServerVersion": "26.1.5",
    "LiveRestoreEnabled": False,
    "LoggingDriver": "json-file",
    "DefaultRuntime": "runc",
    "Runtimes": {"runc": {}, "io.containerd.runc.v2": {}},
    "RegistryConfig": {
        "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        "IndexConfigs": {"docker.io": {"Secure": True}, "a:5000": {"Secure": False}},
        "Mirrors": ["https://m/"],
    },
}


@pytest.mark.parametrize(
    ("document", "stale", "action"),
    [
        ({}, [], "none"),
        ({"live-restore": False, "log-driver": "json-file", "runtimes": {}, "default-runtime": "runc"}, [], "none"),
        ({"insecure-registries": ["a:5000", "127.0.0.0/8"], "registry-mirrors": ["https://m"]}, [], "none"),
        ({"live-restore": True}, ["live-restore"], "reload"),
        (NVIDIA, ["runtimes"], "reload"),
        ({"insecure-registries": ["b:5000"]}, ["insecure-registries"], "reload"),
        ({"registry-mirrors": ["https://n"]}, ["registry-mirrors"], "reload"),
        ({"log-driver": "local", "live-restore": True}, ["live-restore", "log-driver"], "restart"),
    ],
)
def test_a_daemon_that_missed_a_change_is_noticed(document: dict[str, t.Any], stale: list[str], action: str) -> None:
    result = merge(json.dumps(document), {}, info=INFO)
    assert (result.changed, list(result.stale_keys), result.action) == (False, stale, action)
    assert merge(json.dumps(document), {}, info={"ServerErrors": ["down"]}).action == "none"


KEYS = st.sampled_from(["x-text", "x-list", "x-object", "dns", "labels", "features", "log-opts", "runtimes", "debug"])
VALUES: dict[str, st.SearchStrategy[t.Any]] = {
    "x-text": st.text(max_size=3),
    "x-list": st.lists(st.integers(), max_size=3),
    "x-object": st.dictionaries(st.text(max_size=2), st.integers(), max_size=3),
    "dns": st.lists(st.sampled_from(["1.1.1.1", "2.2.2.2", "3.3.3.3"]), max_size=4),
    "labels": st.lists(st.sampled_from(["a=1", "a=2", "b=1", "c"]), max_size=3),
    "features": st.dictionaries(st.sampled_from(["cdi", "buildkit"]), st.booleans()),
    "log-opts": st.dictionaries(st.sampled_from(["max-size", "max-file"]), st.one_of(st.text(max_size=2), st.integers(), st.booleans())),
    "runtimes": st.dictionaries(st.sampled_from(["nvidia", "crun"]), st.just({"path": "p"})),
    "debug": st.booleans(),
}
DOCUMENTS = st.lists(KEYS, unique=True).flatmap(lambda keys: st.fixed_dictionaries({key: VALUES[key] for key in keys}))


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, DOCUMENTS)
def test_merging_twice_is_merging_once_and_loses_no_key(existing: dict[str, t.Any], wanted: dict[str, t.Any]) -> None:
    once = merge(json.dumps(existing), wanted)
    assert once.errors == ()
    assert set(once.document) == {*existing, *wanted}
    assert all(once.document[key] == existing[key] for key in existing if key not in wanted)
    twice = merge(once.text, wanted)
    assert (twice.changed, twice.document) == (False, once.document)
