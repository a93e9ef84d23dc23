"""Training a tiny network: it learns, it resumes to the bit, it refuses what it must."""

from __future__ import annotations

import pytest
import torch

from fleetpose.errors import UsageError
from models.resolve import create_model, model_spec
from models.train.data.photographs import read_photographs
from models.train.loop import Teacher, train
from models.train.settings import TrainSettings
from tests.tiny_pose import TinyPose, register_tiny, write_coco


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return read_photographs([write_coco(tmp_path_factory.mktemp("coco"))])


def tiny(seed=0):
    return create_model(register_tiny(), seed=seed)


def fit(data, network=None, **arguments):
    network = tiny() if network is None else network
    loop = {
        name: arguments.pop(name) for name in ("teacher", "constraint", "checkpoint", "report") if name in arguments
    }
    settings = TrainSettings(**{"steps": 12, "crop": 64, "batch": 3, "ema": 0.5, **arguments})
    return train(network, model_spec(register_tiny()), data, settings, device="cpu", **loop)


def same(one, other):
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_train_makes_the_loss_fall(data):
    losses = []
    fit(data, steps=60, lr=0.01, report=lambda step: losses.append(step.losses["loss"]))
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


class Killed(Exception):
    pass


def killed_at(number):
    def report(step):
        if step.step == number:
            raise Killed

    return report


@pytest.mark.parametrize("taught", [False, True])
def test_train_resumed_equals_uninterrupted(data, tmp_path, taught):
    teacher = Teacher(tiny(seed=7), model_spec(register_tiny()).preprocessing) if taught else None
    whole = fit(data, teacher=teacher)
    checkpoint = tmp_path / "w.checkpoint"
    for number in (3, 8):
        with pytest.raises(Killed):
            fit(data, teacher=teacher, checkpoint=checkpoint, checkpoint_secs=0, report=killed_at(number))
    steps = []
    resumed = fit(data, teacher=teacher, checkpoint=checkpoint, report=lambda step: steps.append(step.step))
    assert steps == list(range(8, 13))  # the step that was not saved is done again
    assert same(whole, resumed)


def test_train_refuses_the_checkpoint_of_another_training(data, tmp_path):
    checkpoint = tmp_path / "w.checkpoint"
    fit(data, checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(UsageError, match=r"batch was 3, is 2.*--restart"):
        fit(data, checkpoint=checkpoint, batch=2)
    with pytest.raises(UsageError, match="weights was"):
        fit(data, network=tiny(seed=1), checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("pupil"),
        lambda state: state["pupil"].popitem(),
        lambda state: state["optimizers"].clear(),
        lambda state: state["optimizers"][0]["param_groups"].clear(),
        lambda state: state.update(average=3),
    ],
)
def test_train_refuses_a_state_that_is_not_its_own_in_a_line(data, tmp_path, change):
    checkpoint = tmp_path / "w.checkpoint"
    fit(data, checkpoint=checkpoint)
    content = torch.load(checkpoint)
    change(content["state"])
    torch.save(content, checkpoint)
    with pytest.raises(UsageError, match=r"w.checkpoint holds no state of this training \(.*\); --restart") as caught:
        fit(data, checkpoint=checkpoint)
    assert "\n" not in str(caught.value)


def test_teacher_is_imitated_without_labels(data, tmp_path):
    """A pupil that is its teacher with noise gets closer to it on photographs nobody annotated."""
    teacher = tiny(seed=3)
    pupil = tiny(seed=3)
    with torch.no_grad():
        for parameter in pupil.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    unlabelled = type(data)(tuple(type(item)(item.path) for item in data.items))
    losses = []
    taught = Teacher(teacher, model_spec(register_tiny()).preprocessing)
    fit(unlabelled, pupil, teacher=taught, steps=60, lr=0.01, report=lambda step: losses.append(step.losses))
    assert set(losses[0]) == {"soft", "hints", "loss"}
    for name, left in (("soft", 0.5), ("hints", 0.8)):
        assert sum(each[name] for each in losses[-10:]) < left * sum(each[name] for each in losses[:10])


@pytest.mark.parametrize("itself", [True, False])
def test_what_is_not_damaged_has_nothing_to_learn_from_itself(data, itself):
    """A network (without batch norm) that is its own teacher: nothing to mend, unless adaptors are drawn."""
    spec = model_spec("human_pose_0001")
    pupil, teacher = (create_model("human_pose_0001", seed=0) for _ in range(2))
    unlabelled = type(data)(tuple(type(item)(item.path) for item in data.items))
    losses = []
    settings = TrainSettings(steps=1, crop=64, batch=2)
    taught = Teacher(teacher, spec.preprocessing, itself)
    train(pupil, spec, unlabelled, settings, teacher=taught, report=lambda s: losses.append(s.losses), device="cpu")
    if itself:
        assert losses[0]["soft"] < 1e-9
        assert losses[0]["hints"] < 1e-9
    else:
        assert losses[0]["hints"] > 0.1


def test_train_refuses_neither_labels_nor_teacher(data):
    unlabelled = type(data)(tuple(type(item)(item.path) for item in data.items))
    with pytest.raises(UsageError, match="--teacher"):
        fit(unlabelled)


def test_train_ends_at_a_loss_that_is_not_finite(data, tmp_path):
    checkpoint = tmp_path / "w.checkpoint"
    with pytest.raises(UsageError, match=r"not finite at step \d+.*lower --lr"):
        fit(data, lr=1e30, checkpoint=checkpoint)
    assert not checkpoint.exists()


class Masked:
    """Prunes a third of one weight from half-way on."""

    def __init__(self, network: TinyPose) -> None:
        self.weight = network.neck.conv.weight
        self.mask = torch.ones_like(self.weight)
        self.calls = []

    def penalty(self):
        return 1e-3 * self.weight.square().sum()

    def after_step(self, progress):
        self.calls.append(progress)
        if progress >= 0.5:
            self.mask[: len(self.mask) // 3] = 0
        self.project_one(self.weight)

    def project_one(self, weight):
        with torch.no_grad():
            weight.mul_(self.mask)

    def project(self, model):
        self.project_one(model.neck.conv.weight)

    def state_dict(self):
        return {"mask": self.mask}

    def load_state_dict(self, state):
        self.mask.copy_(state["mask"])


def test_train_calls_its_constraint(data, tmp_path):
    network = tiny()
    constraint = Masked(network)
    losses = []
    pruned = fit(data, network, constraint=constraint, ema=0.99, report=lambda step: losses.append(step.losses))
    assert constraint.calls == pytest.approx([(n + 1) / 12 for n in range(12)])
    assert "penalty" in losses[0]
    weight = pruned.neck.conv.weight
    assert not weight[: len(weight) // 3].any()  # the average, too, which began with other values
    assert weight[len(weight) // 3 :].all()
    checkpoint = tmp_path / "w.checkpoint"
    again = tiny()
    with pytest.raises(Killed):
        fit(
            data,
            again,
            constraint=Masked(again),
            ema=0.99,
            checkpoint=checkpoint,
            checkpoint_secs=0,
            report=killed_at(9),
        )
    again = tiny()
    assert same(pruned, fit(data, again, constraint=Masked(again), ema=0.99, checkpoint=checkpoint))
