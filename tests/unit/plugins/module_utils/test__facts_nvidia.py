# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.llmops.gpu_inference.plugins.module_utils._facts_nvidia import (
    EXIT_MEANINGS,
    QUERY_FIELDS,
    Answer,
    Seen,
    guess_instances,
    look,
    meaning,
    parse_list,
    parse_query,
    parse_xml,
)

UUID = ("GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f", "GPU-8a1f0c52-7d52-4a5e-9a0c-3c3f2c9f1f11")
ROWS = [f"{number}, {uuid}, NVIDIA A100-SXM4-80GB, 580.95.05, 8.0, 81920, Disabled" for number, uuid in enumerate(UUID)]
INFOROM = "WARNING: infoROM is corrupted at gpu 0000:17:00.0"
UNASKED = Answer()
DEVICE_HANDLE = "Unable to determine the device handle for GPU0000:82:00.0: Unknown Error"


def xml(*gpus: str, cuda: str = "13.0", driver: str = "580.95.05") -> str:
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>'
        f"<driver_version>{driver}</driver_version><cuda_version>{cuda}</cuda_version>{''.join(gpus)}</nvidia_smi_log>\n"
    )


def xml_gpu(number: int, inside: str = "", memory: str = "81920 MiB", mig: tuple[str, str] = ("Disabled", "Disabled")) -> str:
    return (
        f'<gpu id="00000000:{number + 1}7:00.0"><product_name>NVIDIA A100-SXM4-80GB</product_name><uuid>{UUID[number]}</uuid>'
        f"<minor_number>{number}</minor_number><mig_mode><current_mig>{mig[0]}</current_mig><pending_mig>{mig[1]}</pending_mig></mig_mode>"
        f"<mig_devices>{inside}</mig_devices><fb_memory_usage><total>{memory}</total></fb_memory_usage></gpu>"
    )


def seen(query: str, rc: int = 0, stderr: str = "", listed: Answer = UNASKED, document: Answer = UNASKED) -> Seen:
    return look(Answer(rc, query, stderr), QUERY_FIELDS, listed, document)


def test_parsers() -> None:
    assert parse_query(("index", "name"), f"0, NVIDIA L40S\n{INFOROM}\n1, [N/A]\n") == [
        {"index": "0", "name": "NVIDIA L40S"},
        {"index": "1", "name": None},
    ]
    assert parse_list("GPU 0: NVIDIA Thor\nnoise\n") == [(0, "NVIDIA Thor", None, [])]
    assert parse_xml("not xml") is None
    assert parse_xml("<nvidia_smi_log><gpu>") is None
    assert parse_xml(f"{xml(xml_gpu(0))}{INFOROM}\n") is not None


@pytest.mark.parametrize(
    "said",
    [
        "[N/A]",
        "N/A",
        "[Not Supported]",
        "Not Found",
        "[Not Found]",
        "[Unknown Error]",
        "Unknown Error",
        "ERR!",
        "[Insufficient Permissions]",
        "Insufficient Permissions",
        "[No data]",
        "[Function Not Found]",
        "Requested functionality has been deprecated",
        "",
    ],
)
@pytest.mark.parametrize("position", range(1, len(QUERY_FIELDS)))
def test_a_field_that_is_no_value_is_none_and_the_others_hold(said: str, position: int) -> None:
    parts = ROWS[0].split(", ")
    parts[position] = said
    (gpu,) = seen(", ".join(parts)).gpus
    expected: dict[str, object] = {
        "uuid": UUID[0],
        "name": "NVIDIA A100-SXM4-80GB",
        "compute_capability": "8.0",
        "memory_mib": 81920,
    }
    lacking: dict[int, dict[str, object]] = {
        1: {"uuid": "0"},
        2: {"name": "NVIDIA GPU"},
        4: {"compute_capability": None},
        5: {"memory_mib": None},
    }
    assert {name: getattr(gpu, name) for name in expected} == {**expected, **lacking.get(position, {})}
    assert not gpu.mig_enabled


@pytest.mark.parametrize("cuda", ["Not Found", "N/A", "ERR!", "", "13"])
def test_a_cuda_version_that_is_none(cuda: str) -> None:
    found = seen(ROWS[0], document=Answer(0, xml(xml_gpu(0), cuda=cuda)))
    assert found.cuda is None
    told = [warning for warning in found.warnings if "libcuda.so.1" in warning]
    assert bool(told) is bool(cuda)


# --- exit status -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [2, 3, 4, 6, 8, 9, 10, 12, 13, 14, 15, 16, 17, 255, 1, 77])
def test_good_rows_are_facts_whatever_the_exit_status_with_one_warning(status: int) -> None:
    found = seen("\n".join([*ROWS, "something is wrong"]), rc=status)
    assert [gpu.uuid for gpu in found.gpus] == list(UUID)
    (warning,) = found.warnings
    assert "something is wrong" in warning
    assert ROWS[0] not in warning


@pytest.mark.parametrize("rc", [0, 14])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_corrupted_inforom_is_a_warning_that_quotes_the_complaint(rc: int, stream: str) -> None:
    found = seen(ROWS[0] + (f"\n{INFOROM}" if stream == "stdout" else ""), rc=rc, stderr=INFOROM if stream == "stderr" else "")
    assert len(found.gpus) == 1
    (warning,) = found.warnings
    assert INFOROM in warning
    assert "corrupted infoROM" in warning
    assert "is used" in warning


def test_no_complaint_no_warning() -> None:
    assert (
        seen("\n".join(ROWS), listed=Answer(0, f"GPU 0: NVIDIA A100 (UUID: {UUID[0]})"), document=Answer(0, xml(xml_gpu(0)))).warnings == []
    )


@pytest.mark.parametrize(
    ("rc", "text", "status"),
    [
        (0, "", 0),
        (None, "", 0),
        (9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9),
        (255, "Failed to initialize NVML: Driver/library version mismatch", 18),
        (18, "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 590.44", 18),
        (255, DEVICE_HANDLE, 15),
        (0, DEVICE_HANDLE, 15),
        (6, "No devices were found", 6),
        (0, "No devices were found", 6),
        (12, "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", 12),
        (255, "Failed to initialize NVML: Unknown Error", 17),
        (17, "Failed to initialize NVML: GPU access blocked by the operating system", 17),
        (4, "Failed to initialize NVML: Insufficient Permissions", 4),
        (255, "Failed to initialize NVML: GPU is lost", 15),
        (77, "something that nobody has seen before", 77),
    ],
)
def test_words_tell_more_than_the_status(rc: int | None, text: str, status: int) -> None:
    assert meaning(Answer(rc, text)) == status
    assert status in (0, 77) or status in EXIT_MEANINGS


def test_words_inside_the_xml_are_no_complaint() -> None:
    document = xml(xml_gpu(0, inside="<interrupts>infoROM GPU is lost</interrupts>"))
    assert meaning(Answer(0, document)) == 0
    assert meaning(Answer(14, f"{document}{INFOROM}")) == 14


# --- one GPU of many ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        f"1, {UUID[1]}, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]",
        f"1, {UUID[1]}, NVIDIA A100-SXM4-80GB, 580.95.05, 8.0, [GPU is lost], Disabled",
        "[GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]",
        f"1, {UUID[1]}, NVIDIA A100-SXM4-80GB, 580.95.05, 8.0, [GPU requires reset], Disabled",
    ],
)
@pytest.mark.parametrize("rc", [0, 15])
def test_a_gpu_that_fell_off_the_bus_is_left_out_and_told(lost: str, rc: int) -> None:
    found = seen(f"{ROWS[0]}\n{lost}\n", rc=rc)
    assert [gpu.uuid for gpu in found.gpus] == [UUID[0]]
    (warning,) = found.warnings
    assert "is not used" in warning
    assert "boot the host again" in warning


def test_a_gpu_without_a_handle_is_told_and_the_others_are_used() -> None:
    found = seen(f"{ROWS[0]}\n{DEVICE_HANDLE}\n", rc=255)
    assert [gpu.uuid for gpu in found.gpus] == [UUID[0]]
    (warning,) = found.warnings
    assert DEVICE_HANDLE in warning
    assert "out of reach" in warning


def test_details_belong_to_the_gpu_of_the_same_uuid() -> None:
    """With the first of two GPUs lost, the positions in CSV and XML differ."""
    lost = f"0, {UUID[0]}, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]"
    row = f"1, {UUID[1]}, NVIDIA A100-SXM4-80GB, 580.95.05, 8.0, [N/A], Disabled"
    (gpu,) = seen(f"{lost}\n{row}", document=Answer(0, xml(xml_gpu(0, memory="1 MiB"), xml_gpu(1, memory="40960 MiB")))).gpus
    assert (gpu.index, gpu.memory_mib) == (1, 40960)


@pytest.mark.parametrize("rc", [2, 255])
def test_the_list_and_the_xml_do_where_the_query_fails(rc: int) -> None:
    listed = Answer(0, f"GPU 0: NVIDIA A100 (UUID: {UUID[0]})\nGPU 1: NVIDIA A100 (UUID: {UUID[1]})\n")
    found = seen("An internal driver error occurred", rc=rc, listed=listed, document=Answer(0, xml(xml_gpu(0), xml_gpu(1))))
    assert [(gpu.index, gpu.uuid, gpu.memory_mib) for gpu in found.gpus] == [(0, UUID[0], 81920), (1, UUID[1], 81920)]
    assert len(found.warnings) == 1
    only_xml = seen("", rc=rc, document=Answer(0, xml(xml_gpu(0), xml_gpu(1))))
    assert [(gpu.index, gpu.uuid) for gpu in only_xml.gpus] == [(0, UUID[0]), (1, UUID[1])]


# --- MIG ---------------------------------------------------------------------------------------------------------


def mig_device(index: int, gpu_instance: int, compute_instance: int = 0, memory: str = "40448 MiB") -> str:
    return (
        f"<mig_device><index>{index}</index><gpu_instance_id>{gpu_instance}</gpu_instance_id><compute_instance_id>{compute_instance}"
        f"</compute_instance_id><fb_memory_usage><total>{memory}</total></fb_memory_usage></mig_device>"
    )


MIG_ROW = ROWS[0].replace("Disabled", "Enabled")
SHARED = f"GPU 0: NVIDIA A100 (UUID: {UUID[0]})\n" + "".join(
    f"  MIG {profile}     Device  {number}: (UUID: MIG-b9ad0f5d-8a76-5a35-bd57-7d4e0d4b1c0{number})\n"
    for number, profile in enumerate(("1c.3g.40gb", "2c.3g.40gb", "3g.40gb"))
)


def test_mig_enabled_without_slices() -> None:
    (gpu,) = seen(MIG_ROW).gpus
    assert (gpu.mig_enabled, gpu.mig) == (True, ())


def test_mig_on_one_gpu_and_not_on_the_other() -> None:
    assert [gpu.mig_enabled for gpu in seen(f"{MIG_ROW}\n{ROWS[1]}").gpus] == [True, False]


def test_compute_instances_know_their_gpu_instance() -> None:
    document = xml(xml_gpu(0, mig_device(0, 1, 0) + mig_device(1, 1, 1) + mig_device(2, 2), mig=("Enabled", "Enabled")))
    (gpu,) = seen(MIG_ROW, listed=Answer(0, SHARED), document=Answer(0, document)).gpus
    assert [(part.profile, part.gpu_instance, part.memory_mib) for part in gpu.mig] == [
        ("1c.3g.40gb", 1, 40448),
        ("2c.3g.40gb", 1, 40448),
        ("3g.40gb", 2, 40448),
    ]


def test_without_the_xml_the_profiles_tell_which_compute_instances_share() -> None:
    (gpu,) = seen(MIG_ROW, listed=Answer(0, SHARED)).gpus
    first, second, third = (part.gpu_instance for part in gpu.mig)
    assert first == second
    assert third != first


@pytest.mark.parametrize(
    ("profiles", "instances"),
    [
        (["3g.40gb", "3g.40gb"], [0, 1]),
        (["1c.3g.40gb", "1c.3g.40gb", "1c.3g.40gb", "1c.3g.40gb"], [0, 0, 0, 1]),
        (["1c.2g.20gb", "1c.3g.40gb", "2c.3g.40gb"], [0, 1, 1]),
        (["2c.3g.40gb", "2c.3g.40gb"], [0, 1]),
        (["1g.10gb+me", "1g.10gb"], [0, 1]),
        (["odd", "1g.10gb"], [None, 0]),
        ([], []),
    ],
)
def test_guessing_gpu_instances(profiles: list[str], instances: list[int | None]) -> None:
    assert guess_instances(profiles) == instances


@pytest.mark.parametrize(
    ("uuid", "instance"),
    [
        ("MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/7/0", 7),
        ("MIG-74d68ce8-f74a-5408-a325-06b493f31c14", 0),
    ],
)
def test_old_and_new_uuids_of_slices(uuid: str, instance: int) -> None:
    listed = Answer(0, f"GPU 0: NVIDIA A100 (UUID: {UUID[0]})\n  MIG 1g.10gb     Device  0: (UUID: {uuid})\n")
    ((part,),) = (gpu.mig for gpu in seen(MIG_ROW, listed=listed).gpus)
    assert (part.uuid, part.gpu_instance, part.memory_mib) == (uuid, instance, 10240)


@pytest.mark.parametrize(("mode", "words"), [(("Enabled", "Disabled"), "enabled now"), (("Disabled", "Enabled"), "disabled now")])
def test_a_change_of_mig_that_waits_for_a_reset_is_told(mode: tuple[str, str], words: str) -> None:
    (warning,) = seen(ROWS[0], document=Answer(0, xml(xml_gpu(0, mig=mode)))).warnings
    assert words in warning
    assert f"-mig {int(mode[0] == 'Enabled')}" in warning


def test_slices_of_an_integrated_gpu_have_no_memory_of_their_own() -> None:
    listed = Answer(0, f"GPU 0: NVIDIA Thor (UUID: {UUID[0]})\n  MIG 1g.0gb     Device  0: (UUID: MIG-1)\n")
    ((part,),) = (gpu.mig for gpu in seen(MIG_ROW, listed=listed).gpus)
    assert part.memory_mib is None
