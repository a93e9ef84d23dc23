"""What phones say of themselves, read from texts as phones give them; and profiles drafted of what their GPUs say."""

import re

import pytest

from devices.android.drafting import choose_profile, draft_profile
from devices.android.facts import OPENCL_PLACES, PhoneFacts, check_suits, facts_of, key_of
from devices.android.probing import ReachedPeaks
from devices.info import DeviceInfo
from devices.profile import load_profile
from fleetpose.errors import UsageError
from runtime import SOURCES

PIXEL = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 8",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.product.cpu.abi": "arm64-v8a",
}


def test_facts_of_a_phone_that_says_everything():
    graphics = "GLES: Qualcomm, Adreno (TM) 730, OpenGL ES 3.2 V@0615.0 (GIT@1, 2)\n"
    facts = facts_of(PIXEL, graphics, {"level": "87", "temperature": "291"}, ["/vendor/lib64/libOpenCL.so"])
    assert facts == PhoneFacts(
        "Google", "Pixel 8", "Google Tensor G3", "14", 34, "arm64-v8a", "Qualcomm, Adreno (TM) 730",
        "OpenGL ES 3.2 V@0615.0 (GIT@1, 2)", "/vendor/lib64/libOpenCL.so", 87, 29.1,
    )  # fmt: skip
    assert "battery   87 %, 29.1 °C" in facts.lines()


def test_facts_of_a_phone_that_says_nothing():
    assert facts_of({}, "", {}, []) == PhoneFacts()
    assert all(line.endswith("it does not say") for line in PhoneFacts().lines())


def test_what_a_phone_says_is_shown_without_commands_to_a_terminal():
    facts = facts_of({"ro.product.model": "Pixel \x1b[2J\x07 8", "ro.product.manufacturer": "\n" * 9}, "", {}, [])
    assert facts.model == "Pixel [2J 8"
    assert facts.maker == ""


def test_draft_of_a_gpu_with_a_strange_name_is_a_profile(tmp_path):
    text = draft_profile(DeviceInfo('a"b\\c\x1b\n#d' * 30, kind="gpu"), ReachedPeaks(gflops=12.345, half_rate=1.987))
    (tmp_path / "draft.toml").write_text(text, encoding="utf-8")
    profile = load_profile(tmp_path / "draft.toml")
    assert (profile.peak_gflops_fp32, profile.fp16_rate, profile.peak_gbytes_per_sec) == (12.3, 1.99, None)


def test_chip_of_an_older_android_is_its_board():
    properties = {"ro.board.platform": "msmnile", "ro.soc.model": "unknown"}
    assert facts_of(properties, "", {}, []).soc == "msmnile"


def test_opencl_is_looked_for_where_the_agent_looks():
    text = (SOURCES / "opencl" / "library_paths.h").read_text(encoding="utf-8")
    names = re.findall(r'X\("(/\w[^"]*)" FLEETPOSE_LIB_FOLDER "([^"]+)"\)', text)
    assert tuple(f"{folder}lib64{name}" for folder, name in names) == OPENCL_PLACES


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        (PhoneFacts(model="Pixel 8"), "pixel-8"),
        (PhoneFacts(model="SM-G973F"), "sm-g973f"),
        (PhoneFacts(), "r58m-1"),
        (PhoneFacts(model="x" * 90), "x" * 40),
    ],
)
def test_key_is_one_word_of_the_model(facts, key):
    assert key_of(facts, "R58M:1") == key


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (PhoneFacts(processor="armeabi-v7a"), "phone A runs armeabi-v7a, and the agent is built for arm64-v8a"),
        (PhoneFacts(android="6.0", sdk=23), r"phone A has Android 6.0 \(API 23\); the agent needs API 24, Android 7"),
    ],
)
def test_phone_that_the_agent_cannot_run_on_is_refused(facts, said):
    with pytest.raises(UsageError, match=said):
        check_suits(facts, "phone A")


@pytest.mark.parametrize(
    ("info", "name"),
    [
        (DeviceInfo("Mali-G76", vendor="ARM", kind="gpu"), "mali-g76"),
        (DeviceInfo("QUALCOMM Adreno(TM)", version="OpenCL 2.0 Adreno(TM) 640", kind="gpu"), "adreno-640"),
        (DeviceInfo("pthread-cortex-a78", kind="cpu", vector_width=4), "host-avx2"),
    ],
)
def test_known_gpu_has_the_profile_that_comes_with_the_package(info, name):
    choice = choose_profile(info)
    assert (choice.name, choice.draft) == (name, None)


UNKNOWN = [
    DeviceInfo("Mali-G710 r0p0", vendor="ARM", kind="gpu", compute_units=7, max_work_group=1024, local_bytes=32768,
               cache_bytes=1 << 20, image2d_width=65536, image2d_height=16384, fp16=True, image2d=True),
    DeviceInfo("QUALCOMM Adreno(TM)", version="OpenCL 3.0 Adreno(TM) 750", kind="gpu", max_work_group=1024),
    DeviceInfo('PowerVR "Rogue" GE8320', vendor="Imagination", kind="gpu", compute_units=1, max_work_group=32,
               local_bytes=4096, fp16=False, image2d=False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("info", "name", "gpu"),
    list(zip(UNKNOWN, ("mali-g710", "adreno-750", "gpu"), ("mali", "adreno", "mali"), strict=True)),
)
def test_draft_of_an_unknown_gpu_is_a_profile_with_the_devices_limits(info, name, gpu, tmp_path):
    choice = choose_profile(info)
    assert choice.name == name
    assert choice.draft is not None
    (tmp_path / "draft.toml").write_text(choice.draft, encoding="utf-8")
    profile = load_profile(tmp_path / "draft.toml")
    assert (profile.gpu, profile.host) == (gpu, "android-arm64")
    assert profile.max_threads_per_block <= info.max_work_group
    assert profile.work_group <= profile.max_threads_per_block
    assert profile.compute_units == (info.compute_units or None)
    assert (profile.peak_gflops_fp32, profile.peak_gbytes_per_sec) == (None, None)
    if info.local_bytes:
        assert profile.max_shared_memory_per_block == info.local_bytes
    if info.fp16 is not None:
        assert (profile.fp16, profile.image2d) == (info.fp16, info.image2d)
    usual = load_profile(f"generic_{gpu}")  # of what an agent of before does not say
    assert profile.cache_bytes == (info.cache_bytes or usual.cache_bytes)
    assert profile.image2d_max == (min(info.image2d_width, info.image2d_height) or usual.image2d_max)
