"""All groupings behind one interface: crowds of known people, refusals, and hostile maps."""

import numpy as np
import pytest

from benchmarks.synthetic_people import RENDERERS, compare, crowd, hide, render_embedding
from fleetpose.errors import UsageError
from models.pose.decoding.decoders import decoder, decoder_for, decoder_names
from models.pose.skeleton import FROM_COCO, PARTS
from models.preprocess import Placement

CELLS, PIXELS = (46, 46), (368, 368)
CHANNELS = {
    "paf": {"heatmaps": 19, "pafs": 38},
    "associative_embedding": {"heatmaps": 17, "tags": 17},
    "keypoint_regression": {"centres": 1, "offsets": 34},
}
every_decoder = pytest.mark.parametrize("name", list(RENDERERS))


def full(name, value, size=CELLS):
    return {output: np.full((channels, *size), value, np.float32) for output, channels in CHANNELS[name].items()}


def in_pixels(people):
    return (np.asarray(people) + 0.5) * 8 - 0.5


def test_decoders_are_found_by_name_or_by_outputs():
    assert decoder_names()[:3] == ("paf", "associative_embedding", "keypoint_regression") == tuple(RENDERERS)
    for name, channels in CHANNELS.items():
        assert decoder(name).name == name
        assert decoder(name).outputs == tuple(channels)
        assert decoder_for(list(channels)) is decoder(name)
    assert decoder_for(["heatmaps", "offsets", "centres"]).name == "keypoint_regression"


def test_decoders_of_unknown_names_and_outputs_are_refused():
    with pytest.raises(UsageError, match="did you mean 'paf'"):
        decoder("pafs")
    with pytest.raises(UsageError, match=r"reads the outputs logits; people are decoded from heatmaps, pafs; "):
        decoder_for(["logits"])
    with pytest.raises(UsageError, match=r"paf decoding needs the outputs heatmaps, pafs; there are heatmaps"):
        decoder("paf").decode({"heatmaps": np.zeros((19, 4, 4))}, PIXELS)
    with pytest.raises(UsageError, match="size"):
        decoder("paf").decode(full("paf", 0), (0, 368))


@every_decoder
@pytest.mark.parametrize(("number", "seed"), [(0, 0), (1, 0), (5, 0), (20, 0), (20, 1), (20, 2), (30, 0)])
def test_decoders_find_every_joint_on_clean_maps(name, number, seed):
    random = np.random.default_rng([number, seed])
    people = crowd(random, number, CELLS)
    found = decoder(name).decode(RENDERERS[name](people, CELLS, 0.0, random), PIXELS)
    account = compare(found, in_pixels(people), tolerance=2.0)
    assert account.whole == account.people == number
    assert account.found == account.joints == 17 * number
    assert account.false_people == 0
    assert all(person.count == 18 for person in found)
    assert [person.score for person in found] == sorted((person.score for person in found), reverse=True)


@every_decoder
def test_decoders_find_people_in_noise_and_with_hidden_joints(name):
    random = np.random.default_rng(3)
    people = hide(random, crowd(random, 10, CELLS), 0.08)
    found = decoder(name).decode(RENDERERS[name](people, CELLS, 0.02, random), PIXELS)
    account = compare(found, in_pixels(people), tolerance=4.0)
    # PAF grouping loses what hangs on a hidden joint; the others guess hidden joints. Regression takes noise above
    # its low threshold for people, up to 30.
    assert account.found >= (0.85 if name == "paf" else 1) * account.joints
    assert (account.guessed > 0) == (name != "paf")
    assert account.false_people <= (20 if name == "keypoint_regression" else 0)


@every_decoder
def test_decoders_take_a_batch_of_one_and_a_placement(name):
    random = np.random.default_rng(4)
    people = crowd(random, 3, CELLS)
    outputs = RENDERERS[name](people, CELLS, 0.0, random)
    placement = Placement((736, 800), PIXELS, (368, 368))
    batched = {output: maps[None] for output, maps in outputs.items()}
    found = decoder(name).decode(batched, placement)
    assert compare(found, placement.cells_to_image(people, CELLS), tolerance=4.0).whole == 3


@pytest.mark.parametrize("name", ["associative_embedding", "keypoint_regression"])
def test_the_neck_is_halfway_between_the_shoulders(name):
    random = np.random.default_rng(5)
    (person,) = decoder(name).decode(RENDERERS[name](crowd(random, 1, CELLS), CELLS, 0.0, random), PIXELS)
    neck, right, left = (person.keypoints[PARTS.index(part)] for part in ("neck", "right_shoulder", "left_shoulder"))
    np.testing.assert_allclose(neck[:2], (right[:2] + left[:2]) / 2)
    assert neck[2] == min(right[2], left[2])
    assert len(person.to_coco(1)["keypoints"]) == 51


def test_without_a_shoulder_there_is_no_neck():
    people = crowd(np.random.default_rng(6), 1, CELLS)
    people[0, PARTS.index("left_shoulder")] = np.nan
    outputs = render_embedding(people, CELLS, 0.0, np.random.default_rng(0))
    # The heatmap of the hidden shoulder is 0 everywhere, so that refinement has nothing to take either.
    (person,) = decoder("associative_embedding").decode(outputs, PIXELS)
    assert np.isnan(person.keypoints[PARTS.index("neck"), 0])
    assert person.keypoints[PARTS.index("neck"), 2] == 0
    assert person.count == 16


@every_decoder
@pytest.mark.parametrize("value", [0, 1, -1, 1e6, -1e6])
def test_maps_of_one_value_hold_nobody(name, value):
    assert decoder(name).decode(full(name, value), PIXELS) == []


@every_decoder
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1e300])
def test_values_that_are_no_confidence_are_refused(name, value):
    for output in CHANNELS[name]:
        outputs = full(name, 0.0)
        outputs[output] = outputs[output].astype(np.float64)
        outputs[output][0, 3, 2] = value
        with pytest.raises(UsageError, match=r"^1 of the \d+ values of the"):
            decoder(name).decode(outputs, PIXELS)


@every_decoder
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1501, 2), (4,), (2, 2, 4, 4)])
def test_maps_of_the_wrong_size_are_refused(name, shape):
    with pytest.raises(UsageError):
        decoder(name).decode(full(name, 0.5, shape), PIXELS)


@every_decoder
def test_wrong_channels_sizes_and_things_are_refused(name):
    for output, channels in CHANNELS[name].items():
        for wrong in (np.zeros((channels + 1, *CELLS)), np.zeros(CELLS), [[["a"]]], None, np.zeros((channels, 0, 0))):
            with pytest.raises(UsageError, match=r"expected|can be decoded|no array"):
                decoder(name).decode({**full(name, 0), output: wrong}, PIXELS)


@pytest.mark.parametrize("name", ["paf", "keypoint_regression"])
def test_outputs_of_different_sizes_are_refused(name):
    first = next(iter(CHANNELS[name]))
    with pytest.raises(UsageError, match="differ in size"):
        decoder(name).decode({**full(name, 0), first: full(name, 0, (46, 45))[first]}, PIXELS)


@every_decoder
@pytest.mark.parametrize("size", [(1, 1), (1, 46), (46, 1), (2, 3)])
def test_decoders_take_maps_of_hardly_any_cells(name, size):
    random = np.random.default_rng(0)
    outputs = {output: random.random((n, *size), np.float32) for output, n in CHANNELS[name].items()}
    for person in decoder(name).decode(outputs, (8 * size[0], 8 * size[1])):
        assert np.isfinite(person.keypoints[person.found]).all()


@every_decoder
@pytest.mark.parametrize("kind", ["peaks", "noise", "saturated", "huge"])
def test_ten_thousand_peaks_give_a_bounded_number_of_people(name, kind):
    random = np.random.default_rng(1)
    outputs = full(name, 0.0)
    for maps in outputs.values():
        if kind == "peaks":  # 529 in each channel
            maps[:, ::2, ::2] = random.uniform(0.5, 1, (len(maps), 23, 23))
        elif kind == "noise":
            maps[:] = random.normal(0, 1, maps.shape)
        elif kind == "saturated":
            maps[:] = random.random(maps.shape) < 0.5
        else:
            maps[:] = 1e6 * random.choice([-1, 0, 1], maps.shape)
    found = decoder(name).decode(outputs, PIXELS)
    # 128 peaks of each part, each of them in one limb of a kind; of the others at most 30 people.
    assert len(found) <= (17 * 128 if name == "paf" else 30)
    for person in found:
        assert person.count >= 3
        assert np.isfinite(person.score)
        assert np.isfinite(person.keypoints[person.found]).all()


@every_decoder
def test_large_maps_of_noise_are_decoded_too(name):
    random = np.random.default_rng(2)
    outputs = {output: random.random((n, 200, 240), np.float32) for output, n in CHANNELS[name].items()}
    found = decoder(name).decode(outputs, (400, 480))
    assert len(found) <= (17 * 128 if name == "paf" else 30)


def test_compare_counts_what_was_found():
    people = crowd(np.random.default_rng(7), 2, CELLS)
    people[0, FROM_COCO[9]] = np.nan
    found = decoder("paf").decode(RENDERERS["paf"](people, CELLS, 0.0, None), PIXELS)
    twice = compare([*found, found[0]], in_pixels(people), tolerance=2.0)
    assert (twice.people, twice.whole, twice.joints, twice.found) == (2, 2, 33, 33)
    assert (twice.guessed, twice.false_people) == (0, 1)
    nobody = compare([], in_pixels(people), tolerance=2.0)
    assert (nobody.whole, nobody.found, nobody.false_people) == (0, 0, 0)
    assert compare(found, np.zeros((0, 18, 2)), tolerance=2.0).false_people == 2
    moved = compare(found, in_pixels(people) + 8, tolerance=2.0)
    assert (moved.whole, moved.found, moved.false_people) == (0, 0, 2)
