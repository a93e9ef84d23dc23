"""The parts of training: views by position, losses by their formulas, averages, rates, Muon, hints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from models.preprocess import Preprocessing
from models.resolve import create_model
from models.train.data.photographs import read_photographs
from models.train.data.samples import Views, batches, normalise
from models.train.initial import calm
from models.train.optimiser.average import Average
from models.train.optimiser.groups import make_optimizers, rate
from models.train.optimiser.muon import Muon, orthogonal
from models.train.settings import TrainSettings
from models.train.teaching.hints import Pupil, channels_at, feature_places
from models.train.teaching.losses import hint_loss, map_loss, standardise
from models.zoo.catalogue import CATALOGUE
from tests.tiny_pose import TinyPose, write_coco


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    data = read_photographs([write_coco(tmp_path_factory.mktemp("coco"))])
    return Views(data, TrainSettings(steps=1, crop=64, batch=4), 8, (128.0, 128.0, 128.0))


def take(source, number):
    return [next(source) for _ in range(number)]


def never(_step):
    """Progress that does not show."""
    return 0.0


def equal(one, other):
    return all(torch.equal(mine, getattr(other, name)) for name, mine in vars(one).items())


@pytest.mark.slow
def test_batches_are_functions_of_their_position(views):
    whole = take(batches(views, 0, never), 5)
    assert all(equal(*pair) for pair in zip(whole[2:], take(batches(views, 2, never), 3), strict=True))
    assert all(equal(*pair) for pair in zip(whole, take(batches(views, 0, never, workers=2), 5), strict=True))
    assert not equal(whole[0], whole[3])  # the same photographs again, other views


def test_processes_share_a_batch(views):
    whole = next(batches(views, 3, never))
    for rank in (0, 1):
        share = next(batches(views, 3, never, rank=rank, processes=2))
        torch.testing.assert_close(share.images, whole.images[rank::2])
        torch.testing.assert_close(share.pafs, whole.pafs[rank::2])


def test_every_photograph_is_seen_once_per_epoch(views):
    for epoch in range(3):
        assert sorted(views.order(epoch)) == list(range(6))
    assert views.order(0).tolist() != views.order(1).tolist()


def test_batches_have_the_shapes_of_views(views):
    batch = next(batches(views, 0, never))
    assert batch.images.shape == (4, 3, 64, 64)
    assert batch.images.dtype == torch.uint8
    assert batch.heatmaps.shape == (4, 19, 8, 8)
    assert batch.pafs.shape == (4, 38, 8, 8)
    assert batch.weight.shape == (4, 1, 8, 8)


def test_views_grow_with_the_training(views):
    """The same views, more pixels; from --first-crop to --crop, in steps of the stride."""
    growing = Views(
        views.photographs, TrainSettings(steps=1, crop=64, first_crop=32, growth=0.5, batch=4), 8, views.padding
    )
    sides = []
    for step in range(11):
        batch = next(batches(growing, step, lambda step: step / 10))
        sides.append(batch.images.shape[-1])
        assert batch.pafs.shape[-1] == sides[-1] // 8
    assert sides[0] == 32
    assert sides[5:] == [64] * 6
    assert sides == sorted(sides)
    small = next(batches(growing, 0, never)).images.float()
    large = next(batches(views, 0, never)).images.float()
    shrunk = nn.functional.interpolate(large, size=(32, 32), mode="area")
    assert float((shrunk - small).abs().mean()) < 5
    assert float((shrunk - small.flip(3)).abs().mean()) > 10


@pytest.mark.parametrize("channels", ["BGR", "RGB"])
def test_normalise_is_the_preprocessing(channels):
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    found = normalise(images, Preprocessing((1.0, 2.0, 3.0), 0.5, channels)).numpy()
    pixels = images.numpy()[:, ::-1] if channels == "RGB" else images.numpy()
    np.testing.assert_allclose(found, (pixels - np.array([1, 2, 3]).reshape(1, 3, 1, 1)) * 0.5)


def test_map_loss_is_half_the_squared_error_per_cell():
    generator = torch.Generator().manual_seed(0)
    stages = [torch.rand(2, channels, 3, 4, generator=generator) for channels in (19, 38, 19, 38)]
    heatmaps, pafs = torch.rand(2, 19, 3, 4, generator=generator), torch.rand(2, 38, 3, 4, generator=generator)
    weight = torch.rand(2, 1, 3, 4, generator=generator)
    wanted = 0.0
    for view in range(2):
        for row in range(3):
            for column in range(4):
                for index, maps in enumerate(stages):
                    target = (heatmaps, pafs)[index % 2]
                    error = maps[view, :, row, column] - target[view, :, row, column]
                    wanted += 0.5 * float(weight[view, 0, row, column]) * float(error.square().sum())
    assert float(map_loss(stages, (heatmaps, pafs), weight)) == pytest.approx(wanted / 24, rel=1e-5)


def test_every_stage_may_have_targets_of_its_own():
    generator = torch.Generator().manual_seed(0)
    stages, targets = (
        [torch.rand(2, channels, 3, 4, generator=generator) for channels in (19, 38, 19, 38)] for _ in range(2)
    )
    wanted = sum(float((a - b).double().square().sum()) for a, b in zip(stages, targets, strict=True)) / 2 / 24
    assert float(map_loss(stages, targets, torch.ones(2, 1, 3, 4))) == pytest.approx(wanted, rel=1e-5)
    assert float(map_loss(stages, stages, torch.ones(2, 1, 3, 4))) == 0


def test_masked_cells_teach_nothing():
    stages = [torch.zeros(1, 19, 4, 4, requires_grad=True), torch.zeros(1, 38, 4, 4, requires_grad=True)]
    weight = torch.ones(1, 1, 4, 4)
    weight[..., 1, 2] = 0
    map_loss(stages, (torch.ones(1, 19, 4, 4), torch.ones(1, 38, 4, 4)), weight).backward()
    for maps in stages:
        assert not maps.grad[..., 1, 2].any()
        assert maps.grad[..., 0, 0].all()


def test_hint_loss_is_the_unexplained_variance():
    teacher = torch.randn(4, 5, 6, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1, 2, 5, 10, 3.0]
    ).view(5, 1, 1)
    teacher += 7
    wanted = standardise(teacher)
    torch.testing.assert_close(wanted.mean(dim=(0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(wanted.std(dim=(0, 2, 3)), torch.ones(5), atol=0.2, rtol=0)
    assert float(hint_loss({"a": wanted}, {"a": teacher})) == 0
    assert float(hint_loss({"a": 0 * wanted}, {"a": teacher})) == pytest.approx(1, abs=0.1)
    both = hint_loss({"a": wanted / 2, "b": wanted}, {"a": teacher, "b": teacher})
    assert float(both) == pytest.approx(0.125, abs=0.01)


def test_features_that_are_alike_are_standardised_alike():
    teacher = 7 + 5 * torch.randn(4, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    assert float(hint_loss({"a": teacher}, {"a": teacher}, alike=True)) == 0
    means = teacher.mean(dim=(0, 2, 3), keepdim=True).expand_as(teacher)
    assert float(hint_loss({"a": means}, {"a": teacher}, alike=True)) == pytest.approx(1, abs=0.02)
    assert float(hint_loss({"a": 7 + 2 * (teacher - 7)}, {"a": teacher}, alike=True)) == pytest.approx(1, abs=0.02)


def test_a_dead_channel_is_no_hint():
    teacher = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    teacher[:, 1] = 1e-6 * teacher[:, 1] + 3
    assert float(standardise(teacher)[:, 1].abs().max()) < 1e-3


def test_calm_start_maps_begin_at_zero():
    """Maps begin as nothing, and every weight before them learns from the second step on."""
    network = create_model("resnet50_3").train()
    calm(network)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not any(maps.any() for maps in network.stages(x))
    assert network.backbone.layers[0][0].expand.bn.weight[0].item() == pytest.approx(7**-0.5)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        sum((maps - 1).square().mean() for maps in network.stages(x)).backward()
        optimizer.step()
    assert all(parameter.grad.any() for parameter in network.parameters())


def test_weight_average_is_the_formula():
    network = nn.BatchNorm1d(3)
    average = Average(network, 0.9)
    expected = network.weight.detach().clone()
    for step in range(1, 120):
        with torch.no_grad():
            network.weight.add_(0.1)
            network.num_batches_tracked.add_(1)
        average.update(network, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.weight.detach()
    torch.testing.assert_close(average.network.weight, expected)
    assert average.network.num_batches_tracked == 119
    assert not average.network.training


def test_learning_rates_follow_the_schedule():
    cosine = TrainSettings(steps=1, warmup=0.1)
    assert rate(cosine, 0) == 0.01
    assert rate(cosine, 0.05) == pytest.approx(0.5)
    assert rate(cosine, 0.1) == pytest.approx(1)
    assert rate(cosine, 0.55) == pytest.approx(0.5)
    assert rate(cosine, 1) == pytest.approx(0, abs=1e-12)
    lwop = TrainSettings(steps=1, recipe="lwop")
    rates = [rate(lwop, epoch / 280) for epoch in (0, 99, 100, 199, 200, 259, 260, 279)]
    np.testing.assert_allclose(rates, [1, 1, 1 / 3, 1 / 3, 1 / 9, 1 / 9, 1 / 27, 1 / 27], rtol=4e-3)


@pytest.mark.parametrize("recipe", ["muon", "adamw", "lwop"])
def test_every_parameter_is_learnt_once(recipe):
    network = TinyPose()
    optimizers = make_optimizers(network, TrainSettings(steps=1, recipe=recipe))
    found = [id(p) for one in optimizers for group in one.param_groups for p in group["params"]]
    assert sorted(found) == sorted(map(id, network.parameters()))
    for one in optimizers:
        for group in one.param_groups:
            vectors = {parameter.ndim == 1 for parameter in group["params"]}
            assert vectors == {group["weight_decay"] == 0}


def test_lwop_learns_refinement_faster():
    network = TinyPose()
    (adam,) = make_optimizers(network, TrainSettings(steps=1, recipe="lwop"))
    rates = {id(p): group["lr"] for group in adam.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(1.6e-4 if "refinement" in name else 4e-5)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (12, 12)])
def test_orthogonal_gives_singular_values_near_one(shape):
    found = torch.linalg.svdvals(orthogonal(torch.randn(*shape, generator=torch.Generator().manual_seed(0))))
    assert float(found.min()) > 0.3
    assert float(found.max()) < 1.3


def test_muon_finds_the_least_squares():
    """A badly scaled linear map, as a 1x1 convolution, is learnt to a hundredth of the start's error."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, 20, 20, generator=generator) * torch.logspace(0, -2, 8).view(1, 8, 1, 1)
    layer, truth = nn.Conv2d(8, 4, 1, bias=False), torch.randn(4, 8, 1, 1, generator=generator)
    optimizer = Muon(layer.parameters(), lr=0.2, weight_decay=0)
    errors = []
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 150)
        error = (layer(x) - nn.functional.conv2d(x, truth)).square().mean()
        errors.append(error.item())
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert errors[-1] < 1e-2 * errors[0]
    assert math.isfinite(errors[-1])


def test_where_networks_are_comparable():
    resnet, lwop = create_model("resnet50_3"), create_model("human_pose_0001")
    mine, theirs = feature_places(resnet), feature_places(lwop)
    assert mine.keys() == {"stride 4", "backbone", "features"}
    assert theirs.keys() == {"stride 2", "stride 4", "backbone", "features"}
    assert [channels_at(resnet, mine[name]) for name in ("stride 4", "backbone", "features")] == [256, 512, 88]
    assert [channels_at(lwop, theirs[name]) for name in ("stride 4", "backbone", "features")] == [128, 512, 128]
    for spec in (spec for spec in CATALOGUE if tuple(spec.outputs) == ("heatmaps", "pafs")):
        places = feature_places(create_model(spec.name))
        assert {"stride 4", "backbone", "features"} <= places.keys()
    assert feature_places(nn.Conv2d(3, 57, 1)) == {}


def test_pupil_answers_features_as_the_teacher_has_them():
    network = TinyPose()
    places = feature_places(network)
    pupil = Pupil(network, places, dict.fromkeys(places, 5))
    stages, features = pupil(torch.zeros(2, 3, 32, 32))
    assert [tuple(maps.shape) for maps in stages] == [(2, c, 4, 4) for c in (19, 38, 19, 38)]
    assert {name: tuple(found.shape) for name, found in features.items()} == {
        "stride 2": (2, 5, 16, 16),
        "stride 4": (2, 5, 8, 8),
        "backbone": (2, 5, 4, 4),
        "features": (2, 5, 4, 4),
    }
    assert not any(module._forward_hooks for module in network.modules())
