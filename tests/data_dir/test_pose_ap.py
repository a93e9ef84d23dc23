"""AP of trained weights on real photographs, with the decoder and with the plain one (needs ../shared)."""

from functools import cache

import pytest

from models.accuracy.bootstrap import bootstrap_ap
from models.accuracy.oks import evaluate_keypoints
from models.accuracy.protocol import evaluate_network
from models.pose.decoding.paf import decode
from models.pose.person import Person
from models.preprocess import fit, free_size
from models.resolve import create_model, model_spec
from tests.pure.reference_decoder import reference_decode

MODEL = "human_pose_0001"


@pytest.fixture(scope="module")
def maps_of(shared_dir):
    """photograph -> (heatmaps, pafs, placement) of the LWOP protocol; each photograph is run once."""
    import torch

    network = create_model(MODEL, weights=shared_dir / "data/lwop/human_pose_0001.safetensors")
    known = {}

    def run(image):
        key = image.tobytes()
        if key not in known:
            tensor, placement = fit(image, free_size(image.shape[:2]), model_spec(MODEL).preprocessing)
            with torch.inference_mode():
                heatmaps, pafs = network(torch.from_numpy(tensor))[-2:]
            known[key] = heatmaps[0].numpy(), pafs[0].numpy(), placement
        return known[key]

    return run


@pytest.fixture(scope="module")
def evaluate(shared_dir, maps_of):
    folder = shared_dir / "data/photos_val"

    @cache
    def run(decoder):
        return evaluate_keypoints(
            folder / "person_keypoints.json", folder / "images", lambda image: decoder(*maps_of(image))
        )

    return run


def plain(heatmaps, pafs, placement):
    """The reference decoder's people, in the photograph's pixels."""
    people = []
    for keypoints, score in reference_decode(heatmaps, pafs):
        keypoints[:, :2] = placement.cells_to_image(keypoints[:, :2], heatmaps.shape[1:])
        people.append(Person(keypoints, score))
    return people


@pytest.mark.long
def test_ap_on_photos_val(evaluate):
    result = evaluate(decode)
    assert result.images == 32
    assert result.ap >= 0.45
    assert result.ap_50 >= 0.69


@pytest.mark.long
def test_ap_is_not_below_the_plain_decoder(evaluate):
    mine, theirs = evaluate(decode), evaluate(plain)
    print(f"AP {mine.ap:.4f}, plain decoder {theirs.ap:.4f}, gain {bootstrap_ap(mine, theirs)} (95 %)")
    assert theirs.ap >= 0.44
    assert mine.ap >= theirs.ap


def test_evaluate_network_finds_people_on_a_few_photographs(shared_dir, few):
    network = create_model(MODEL, weights=shared_dir / "data/lwop/human_pose_0001.safetensors")
    assert evaluate_network(network, model_spec(MODEL), few).ap >= 0.3  # 0.34


@pytest.mark.long
def test_evaluate_network_is_the_same_protocol(shared_dir):
    network = create_model(MODEL, weights=shared_dir / "data/lwop/human_pose_0001.safetensors")
    seen = []
    found = evaluate_network(
        network, model_spec(MODEL), shared_dir / "data/photos_val", lambda done, total: seen.append((done, total))
    )
    assert found.ap >= 0.44
    assert seen[-1] == (32, 32)
