"""Maps and settings that are none: one status and one line of text, whatever they are."""

import numpy as np
import pytest

from benchmarks.runtime_pose import RuntimePose
from benchmarks.synthetic_people import RENDERERS, crowd
from fleetpose.errors import UsageError
from models.pose.decoding.decoders import decoder, decoder_names
from models.preprocess import Placement, Preprocessing

BAD_ARGUMENT, BAD_PACKAGE, NOT_A_POSE_NETWORK = 1, 2, 8
PLACEMENT = Placement((96, 96), (96, 96), (96, 96))


@pytest.fixture
def maps():
    """Decoder -> maps for it."""
    random = np.random.default_rng(0)
    people = crowd(random, 2, (12, 12))
    return {
        name: {
            title: np.ascontiguousarray(values, np.float32)
            for title, values in render(people, (12, 12), 0, random).items()
        }
        for name, render in RENDERERS.items()
    }


def decode(library, name, maps):
    pose = RuntimePose(library, name)
    pose.place(PLACEMENT)
    return pose.decode(maps)


@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e6, -2e6, 3e38])
def test_values_that_are_no_confidences(library, maps, name, value):
    for title in maps[name]:
        for at in (0, -1):
            wrong = {**maps[name], title: maps[name][title].copy()}
            wrong[title].flat[at] = value
            says = f"1 of the {wrong[title].size} values of the {title}"
            with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: {says}"):
                decode(library, name, wrong)
            with pytest.raises(UsageError, match="1 of the"):
                decoder(name).decode(wrong, PLACEMENT)


@pytest.mark.parametrize("name", RENDERERS)
def test_shapes(library, maps, name):
    for title, values in maps[name].items():
        with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: expected {title} of "):
            decode(library, name, {**maps[name], title: np.concatenate([values, values[:1]])})
        with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: .*1 to 1500 cells on a side"):
            decode(library, name, {**maps[name], title: np.zeros((len(values), 1, 1501), np.float32)})
        with pytest.raises(UsageError, match=f"^{NOT_A_POSE_NETWORK}: .* not both there"):
            decode(library, name, {other: maps[name][other] for other in maps[name] if other != title})
        if name != "associative_embedding":
            with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: maps that belong together differ in size"):
                decode(library, name, {**maps[name], title: np.ascontiguousarray(values[:, 1:])})


def test_maps_before_any_picture(library, maps):
    with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: no picture was brought"):
        RuntimePose(library, "paf").decode(maps["paf"])


def test_input_beyond_what_embedding_decodes(library, maps):
    pose = RuntimePose(library, "associative_embedding")
    pose.place(Placement((96, 96), (4096, 2048), (96, 96)))
    with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: an input of 4096 x 2048 is beyond the 4194304 pixels"):
        pose.decode(maps["associative_embedding"])


def test_time_that_is_not_finite(library, maps):
    pose = RuntimePose(library, "paf")
    pose.place(PLACEMENT)
    for secs in (np.nan, np.inf):
        with pytest.raises(UsageError, match=f"^{BAD_ARGUMENT}: .* not finite"):
            pose.follow(maps["paf"], secs)


@pytest.mark.parametrize("name", sorted(set(decoder_names()) - set(RENDERERS)))
def test_decoder_that_python_alone_has(library, name):
    with pytest.raises(UsageError, match=f"^{NOT_A_POSE_NETWORK}: {name} decoding is not in this runtime"):
        RuntimePose(library, name)


def test_network_without_a_decoder(library):
    with pytest.raises(UsageError, match=f"^{NOT_A_POSE_NETWORK}: no decoder reads"):
        RuntimePose(library, "")


@pytest.mark.parametrize(
    ("name", "setting", "value", "says"),
    [
        ("paf", "decoding.samples", 65, "from 1 to 64, not 65"),
        ("paf", "decoding.samples", 2.5, "a whole number, not 2.5"),
        ("paf", "decoding.most_peaks", 0, "from 1 to 1024, not 0"),
        ("paf", "decoding.counted_share", 1.5, "from 0 to 1, not 1.5"),
        ("associative_embedding", "decoding.kernel", 4, "odd, not 4"),
        ("associative_embedding", "decoding.refine", 2, "from 0 to 1, not 2"),
        ("keypoint_regression", "decoding.kernels.1.1", 6, "odd, not 6"),
        ("keypoint_regression", "decoding.near", -1, "from 0 to 1e"),
        ("paf", "tracking.similar", 1, "tracking.similar is from"),
        ("paf", "smoothing.freq", 0, "smoothing.freq is from"),
        ("paf", "preprocessing.channels", "XYZ", "BGR, RGB or GREY, not XYZ"),
    ],
)
def test_setting_out_of_range(library, name, setting, value, says):
    kernels = {"decoding.kernels.0.0": 100, "decoding.kernels.0.1": 5, "decoding.kernels.1.0": 0}
    more = kernels if "kernels" in setting else {}
    with pytest.raises(UsageError, match=f"^{BAD_PACKAGE}: the setting .*{says}"):
        RuntimePose(library, name, settings={**more, setting: value})


def test_mean_that_is_missing(library):
    grey = Preprocessing((1.0,), 1.0, "GREY")
    with pytest.raises(UsageError, match=f"^{BAD_PACKAGE}: the setting preprocessing.mean.1 "):
        RuntimePose(library, "paf", grey, {"preprocessing.channels": "RGB"})
