"""Pictures of all formats, sizes and turns to inputs: the runtime against `models.preprocess`."""

from itertools import product

import cv2
import numpy as np
import pytest

from benchmarks.runtime_pose import Picture, RuntimePose
from fleetpose.errors import UsageError
from models.preprocess import Preprocessing, choose_size, fit
from tests import sweep

BGR = Preprocessing((100.0, 120.0, 128.0), 1 / 255)
ORDERS = [BGR, Preprocessing((1.0, 2.0, 3.0), 0.017, "RGB"), Preprocessing((128.0,), 1 / 256, "GREY")]
#: (picture, input): both ways, to a tenth and tenfold, whole factors, strips, single pixels, the same size
SIZES = [
    ((480, 640), (368, 496)), ((480, 640), (368, 368)), ((720, 1280), (368, 656)), ((1080, 1920), (368, 656)),
    ((960, 1280), (320, 480)), ((736, 992), (368, 496)), ((1104, 1488), (368, 496)), ((20, 33), (368, 496)),
    ((37, 41), (39, 43)), ((5, 2000), (368, 496)), ((2000, 5), (368, 496)), ((1, 1), (64, 64)), ((1, 700), (8, 64)),
    ((3, 2), (1, 1)), ((369, 497), (368, 496)), ((368, 496), (368, 496)), ((401, 299), (97, 131)),
]  # fmt: skip
#: a level of a picture, in what preprocessing makes of it
LEVEL = 1 / 255


def photograph(seed, height, width):
    """Noise upon what changes slowly."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (1 + height // 30, 1 + width // 30, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(smooth + random.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("preprocessing", ORDERS, ids=lambda preprocessing: preprocessing.channels)
@sweep.part(6)
@pytest.mark.parametrize(("image_size", "size"), SIZES)
def test_input_equals_opencvs_own(library, plain_opencv, image_size, size, preprocessing):
    image = photograph(1, *image_size)
    expected, _ = fit(image, size, preprocessing)
    tensor = RuntimePose(library, "paf", preprocessing).fill(Picture("BGR", [image]), size)
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("image_size", "size"), sweep.sample(SIZES, 4))
def test_input_is_within_a_level_of_what_opencv_makes_here(library, image_size, size):
    image = photograph(2, *image_size)
    expected, _ = fit(image, size, BGR)
    gap = np.abs(RuntimePose(library, "paf", BGR).fill(Picture("BGR", [image]), size) - expected)
    assert gap.max() < 1.01 * LEVEL
    # Intel's cubic differs in a level at one value in twenty; its areas, and all of OpenCV's own, never.
    assert (gap > LEVEL / 2).mean() < 0.08


def with_margin(image, left, right):
    """The same pixels in rows that are longer than they."""
    whole = np.full((image.shape[0], left + image.shape[1] + right, *image.shape[2:]), 77, np.uint8)
    whole[:, left : left + image.shape[1]] = image
    return whole[:, left : left + image.shape[1]]


def stored_as(form, image):
    """Planes of a BGR image in an interleaved format."""
    if form == "GREY":
        return [np.ascontiguousarray(image[..., 0])]
    planes = image[..., ::-1] if form.startswith("RGB") else image
    if form.endswith("A"):
        planes = np.dstack([planes, np.arange(planes[..., 0].size, dtype=np.uint8).reshape(planes.shape[:2])])
    return [np.ascontiguousarray(planes)]


@sweep.part(8)
@pytest.mark.parametrize(
    ("form", "turns", "image_size"),
    list(product(["RGB", "BGR", "RGBA", "BGRA", "GREY"], range(4), [(48, 65), (300, 211)])),
)
def test_format_strides_and_turns(library, plain_opencv, form, turns, image_size):
    image = photograph(3, *image_size)
    if form == "GREY":
        image = np.repeat(image[..., :1], 3, axis=2)
    planes = [with_margin(plane, 3, 5) for plane in stored_as(form, image)]
    upright = np.ascontiguousarray(np.rot90(image, -turns))
    pose, size = RuntimePose(library, "paf", BGR), (96, 128)
    expected, _ = fit(upright, size, BGR)
    np.testing.assert_allclose(pose.fill(Picture(form, planes, turns), size), expected, rtol=0, atol=1e-6)


def yuv_to_bgr(luma, u, v):
    """Full-range BT.601 in float64, rounded; U and V of each 2 x 2 pixels."""
    height, width = luma.shape
    u, v = (np.repeat(np.repeat(c.astype(float) - 128, 2, 0), 2, 1)[:height, :width] for c in (u, v))
    y = luma.astype(float)
    bgr = np.stack([y + 1.772 * u, y - 0.344136 * u - 0.714136 * v, y + 1.402 * v], axis=-1)
    return np.clip(np.rint(bgr), 0, 255).astype(np.uint8)


def chroma_planes(layout, u, v):
    """U and V as cameras lay them: two planes (I420), or one of pairs (NV12: U first, NV21: V first)."""
    if layout == "I420":
        return with_margin(u, 1, 2), with_margin(v, 1, 2)
    pairs = with_margin(np.stack([u, v] if layout == "NV12" else [v, u], axis=-1), 0, 3)
    first, second = pairs[..., 0], pairs[..., 1]
    return (first, second) if layout == "NV12" else (second, first)


@sweep.part(6)
@pytest.mark.parametrize(
    ("layout", "turns", "image_size"),
    list(product(["I420", "NV12", "NV21"], range(4), [(48, 64), (47, 65), (1, 1), (720, 1280)])),
)
def test_yuv(library, layout, turns, image_size):
    random = np.random.default_rng(4)
    half = -(-image_size[0] // 2), -(-image_size[1] // 2)
    luma, u, v = (random.integers(0, 256, shape).astype(np.uint8) for shape in (image_size, half, half))
    upright = np.ascontiguousarray(np.rot90(yuv_to_bgr(luma, u, v), -turns))
    # At its own size nothing is scaled: the colours themselves are compared.
    size = upright.shape[:2]
    expected, _ = fit(upright, size, BGR)
    picture = Picture("YUV420", [with_margin(luma, 2, 1), *chroma_planes(layout, u, v)], turns)
    gap = np.abs(RuntimePose(library, "paf", BGR).fill(picture, size) - expected)
    assert gap.max() < 1.01 * LEVEL  # 16 bits round a sum beside a half to the other side
    assert (gap > LEVEL / 2).mean() < 1e-3


def test_chosen_size_equals_pythons(library):
    random = np.random.default_rng(5)
    for _ in range(300):
        image_size = tuple(random.integers(1, 400, 2).tolist())
        sizes = [tuple(size) for size in (8 * random.integers(1, 60, (random.integers(1, 6), 2))).tolist()]
        picture = Picture("GREY", [np.zeros(image_size, np.uint8)])
        turned = Picture("GREY", [np.zeros(image_size[::-1], np.uint8)], turns=1)
        assert library.choose_size(picture, sizes) == choose_size(image_size, sizes)
        assert library.choose_size(turned, sizes) == choose_size(image_size, sizes)


def changed(picture, **fields):
    for name, value in fields.items():
        setattr(picture.record, name, value)
    return picture


def bare(form="RGB"):
    if form == "YUV420":
        return Picture(form, [np.zeros((6, 8), np.uint8)] * 3)
    return Picture(form, [np.zeros((6, 8, 3), np.uint8)])


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (changed(bare(), format=6), "no format of pictures with the number 6"),
        (changed(bare(), width=0), "sides of 1 to 32768 pixels, not 0 x 6"),
        (changed(bare(), height=40000), "sides of 1 to 32768 pixels, not 8 x 40000"),
        (changed(bare(), turns=4), "turned by 0 to 3 quarters, not 4"),
        (changed(bare(), row_bytes=(23, 0, 0)), "at least 24 bytes, not 23"),
        (changed(bare(), planes=(None, None, None)), "first plane is NULL"),
        (changed(bare("YUV420"), planes=(1, None, 1)), "U or V is NULL"),
        (changed(bare("YUV420"), uv_step=3), "uv_step of a YUV420 picture is 1 or 2, not 3"),
        (changed(bare("YUV420"), uv_step=2, row_bytes=(8, 6, 6)), "at least 7 bytes, not 6 and 6"),
    ],
)
def test_picture_that_is_none_is_refused(library, picture, says):
    with pytest.raises(UsageError, match=f"^1: .*{says}"):
        RuntimePose(library, "paf", BGR).fill(picture, (64, 64))
    with pytest.raises(UsageError, match=says):
        library.choose_size(picture, [(64, 64)])
