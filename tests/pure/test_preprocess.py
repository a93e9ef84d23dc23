"""Photograph -> tensor and coordinates back."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetpose.codec import decode, encode
from fleetpose.errors import UsageError
from models.preprocess import Placement, Preprocessing, choose_size, contained_size, fit, free_size, read_image

LWOP = Preprocessing((128, 128, 128), 1 / 256)
sides = st.integers(1, 3000)
sizes = st.tuples(sides, sides)


def write(path, image, extension=".png"):
    path.write_bytes(cv2.imencode(extension, image)[1].tobytes())
    return path


def test_preprocessing_round_trips_through_json():
    before = Preprocessing((104.0, 117.5, 123), 1 / 58, "RGB")
    assert decode(Preprocessing, json.loads(json.dumps(encode(before)))) == before


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mean": [1, 2], "scale": 1.0},
        {"mean": [1, 2, 3], "scale": 0},
        {"mean": [1, 2, float("nan")], "scale": 1},
        {"mean": [1, 2, 3], "scale": 1, "channels": "GBR"},
        {"mean": [1, 2, 3], "scale": 1, "gamma": 2},
        {"mean": "abc", "scale": 1},
    ],
)
def test_a_malformed_preprocessing_is_refused(fields):
    with pytest.raises(UsageError):
        decode(Preprocessing, fields)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((5, 7, 3), np.uint8), ((5, 7), np.uint8), ((5, 7, 4), np.uint8), ((5, 7, 3), np.uint16)]
)
def test_every_kind_of_png_is_read_as_three_channels_of_bytes(tmp_path, shape, dtype):
    image = np.full(shape, 200 * (257 if dtype == np.uint16 else 1), dtype)
    read = read_image(write(tmp_path / "image.png", image))
    assert read.shape == (5, 7, 3)
    assert read.dtype == np.uint8
    assert (read == 200).all()


def test_read_image_gives_blue_green_red(tmp_path):
    path = tmp_path / "red.ppm"
    path.write_bytes(b"P6 1 1 255\n" + bytes([250, 20, 3]))
    assert read_image(path).tolist() == [[[3, 20, 250]]]


def test_exif_orientation_turns_the_photograph_upright(tmp_path):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :16] = 255
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    # APP1: a big-endian TIFF with one entry, orientation (0x0112, SHORT) = 6: turn 90 degrees clockwise.
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + bytes(4)
    body = b"Exif\x00\x00" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:])
    read = read_image(path)
    assert read.shape == (32, 16, 3)
    assert read[:12].min() > 200
    assert read[20:].max() < 50


@pytest.mark.parametrize("content", [None, b"", b"not an image at all", b"\x89PNG\r\n\x1a\n broken"])
def test_read_image_refuses_other_files_in_one_line(tmp_path, content):
    path = tmp_path / "image.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_image_refuses_a_folder(tmp_path):
    with pytest.raises(UsageError, match="cannot read image"):
        read_image(tmp_path)


def test_fit_fills_the_height_and_pads_the_right_with_zeros():
    image = np.full((100, 50, 3), (28, 128, 228), np.uint8)
    tensor, placement = fit(image, (200, 160), LWOP)
    assert tensor.shape == (1, 3, 200, 160)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert placement.content_size == (200, 100)
    np.testing.assert_allclose(tensor[0, :, :, :100].mean(axis=(1, 2)), [-100 / 256, 0, 100 / 256], atol=1e-6)
    assert not tensor[..., 100:].any()


def test_fit_scales_a_wide_photograph_down_and_pads_below():
    tensor, placement = fit(np.full((100, 400, 3), 255, np.uint8), (80, 160), LWOP)
    assert placement.content_size == (40, 160)
    assert (tensor[0, :, :40] > 0).all()
    assert not tensor[0, :, 40:].any()


def test_grey_networks_get_one_channel_of_brightness():
    grey = Preprocessing((128,), 1 / 256, "GREY")
    tensor, _ = fit(np.full((8, 8, 3), 200, np.uint8), (8, 12), grey)
    assert tensor.shape == (1, 1, 8, 12)
    assert np.allclose(tensor[0, 0, :, :8], (200 - 128) / 256)
    with pytest.raises(UsageError, match="one finite mean"):
        Preprocessing((1, 2, 3), 1.0, "GREY")


def test_rgb_networks_get_their_channels_turned():
    preprocessing = Preprocessing((1, 2, 3), 0.5, "RGB")
    tensor, _ = fit(np.full((8, 8, 3), (10, 20, 30), np.uint8), (8, 8), preprocessing)
    assert tensor[0, :, 4, 4].tolist() == [(30 - 1) / 2, (20 - 2) / 2, (10 - 3) / 2]


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_fit_refuses_what_is_no_photograph(image):
    with pytest.raises(UsageError):
        fit(image, (8, 8), LWOP)


@given(sizes, sizes)
def test_fit_takes_any_photograph_to_any_size(image_size, size):
    height, width = content = contained_size(image_size, size)
    assert 1 <= height <= size[0]
    assert 1 <= width <= size[1]
    assert content[0] == size[0] or content[1] == size[1]


def test_corners_of_the_content_are_corners_of_the_photograph():
    placement = Placement((100, 200), (368, 744), (368, 736))
    np.testing.assert_allclose(placement.to_image([(-0.5, -0.5), (735.5, 367.5)]), [(-0.5, -0.5), (199.5, 99.5)])


def test_placement_puts_cells_where_the_network_saw_them():
    placement = Placement((368, 736), (368, 744), (368, 736))
    # Cell 0 of a stride-8 map covers pixels 0 to 7, so its centre is 3.5.
    np.testing.assert_allclose(placement.cells_to_image([(0, 0), (10, 2)], (46, 93)), [(3.5, 3.5), (83.5, 19.5)])


def test_a_mark_in_the_photograph_is_found_where_placement_says():
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(image, (200, 60), 5, (255, 255, 255), -1)
    tensor, placement = fit(image, (368, 496), LWOP)
    weight = tensor[0, 0] - tensor[0, 0].min()
    weight[:, placement.content_size[1] :] = 0
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(placement.to_image(centre), (200, 60), atol=0.1)


def test_free_size_is_the_lwop_protocol():
    assert free_size((480, 640)) == (368, 496)
    assert free_size((640, 427)) == (368, 248)
    assert free_size((426, 640)) == (368, 560)
    assert free_size((480, 640), height=256, multiple=32) == (256, 352)


@given(sizes)
def test_a_photograph_always_has_its_full_height_in_its_free_size(image_size):
    size = free_size(image_size)
    assert size[1] % 8 == 0
    assert contained_size(image_size, size)[0] == 368


@pytest.mark.parametrize(
    ("image_size", "chosen"),
    [
        ((480, 640), (368, 496)),
        ((640, 480), (368, 368)),
        ((368, 497), (368, 656)),
        ((300, 1200), (368, 656)),
        ((480, 480), (368, 368)),
    ],
)
def test_choose_size_wastes_least(image_size, chosen):
    assert choose_size(image_size, [(368, 656), (368, 368), (368, 496)]) == chosen


def test_choose_size_prefers_resolution():
    assert choose_size((480, 480), [(256, 256), (368, 368)]) == (368, 368)


def test_choose_size_needs_a_choice():
    with pytest.raises(UsageError):
        choose_size((480, 640), [])
    with pytest.raises(UsageError):
        choose_size((480, 0), [(368, 368)])


@pytest.mark.parametrize("by_intel", [True, False])
def test_a_photograph_is_scaled_alike_with_and_without_intels_code(by_intel):
    image = np.random.default_rng(7).integers(0, 256, (97, 131, 3), np.uint8)
    tensors = []
    before = cv2.ipp.useIPP()
    try:
        for setting in (by_intel, False):
            cv2.ipp.setUseIPP(setting)
            tensors.append(fit(image, (64, 64), Preprocessing((128.0,) * 3, 1 / 256))[0])
            assert cv2.ipp.useIPP() == (setting and before)
    finally:
        cv2.ipp.setUseIPP(before)
    assert np.array_equal(*tensors)
