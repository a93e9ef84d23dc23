"""Pickles of torch.save that are made by hand: what torch's loader would do for them is refused before it sees them."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
import torch

from fleetpose.errors import UsageError
from models.train.running.checkpoint import load_checkpoint
from models.zoo.stored.archive import make_archive
from models.zoo.weights import read_tensors
from tests.fuzz.pickle_mutations import get, imported, put, text, tuple_of, whole

STORAGE = tuple_of(text("storage"), imported("torch.FloatStorage"), text("0"), text("cpu"), whole(4)) + b"Q"
ORDERED = imported("collections.OrderedDict") + b")R"


def tensor(offset: int = 0, shape: tuple[int, ...] = (4,), strides: tuple[int, ...] = (1,), hooks: bytes = ORDERED):
    parts = (STORAGE, whole(offset), tuple_of(*map(whole, shape)), tuple_of(*map(whole, strides)), b"\x89", hooks)
    return imported("torch._utils._rebuild_tensor_v2") + tuple_of(*parts) + b"R"


def crowd(depth: int = 60) -> bytes:
    """Tuples of which each holds the one before it twice."""
    return tuple_of(text("a")) + b"".join(put(number) + get(number) + b"\x86" for number in range(depth))


def called(name: str, *arguments: bytes) -> bytes:
    return imported(name) + tuple_of(*arguments) + b"R"


def written(path: Path, value: bytes) -> Path:
    members = {"data.pkl": b"\x80\x02" + value + b".", "data/0": bytes(16), "version": b"3\n", "byteorder": b"little"}
    path.write_bytes(make_archive(members).getvalue())
    return path


def entry(value: bytes) -> bytes:
    return b"}" + text("w") + value + b"s"


def test_pickles_made_by_hand_are_read(tmp_path):
    assert read_tensors(written(tmp_path / "w.pth", entry(tensor())))["w"].tolist() == [0.0] * 4


LOOP = b"]" + put(1) + get(1) + b"a"
REFUSED = {
    "a key whose hash takes for ever": (b"}" + crowd() + b"Ns", "has a tuple for a key"),
    "a set of such keys": (called("builtins.set", b"]" + crowd() + b"a"), "has a tuple for a key"),
    "pairs with such a key": (
        called("collections.OrderedDict", b"]" + tuple_of(crowd(), b"N") + b"a"),
        "has a tuple for a key",
    ),
    "a storage of such a name": (STORAGE.replace(text("0"), crowd()), "has a tuple for a key"),
    "few tuples that come to 2^60 values": (entry(crowd()), "holds more than 64 containers in one another, or"),
    "few that come to too many": (entry(crowd(40)), "holds more than 64 containers in one another, or 20000000 values"),
    "a list that holds itself": (entry(LOOP), "holds a container that holds itself"),
    "a depth of 60,000": (entry(b"]" * 60_000 + b"a" * 59_999), "holds more than 64 containers in one another"),
    "10 GB of zeros": (called("builtins.bytearray", whole(10**10)), "calls builtins.bytearray in a way"),
    "10 GB by an operation": (b"\x96" + (10**10).to_bytes(8, "little"), "has the operation 150 in a pickle"),
    "memory as it was found": (entry(called("torch.Tensor", whole(10**9))), "calls torch.Tensor in a way"),
    "a storage from nowhere": (
        entry(called("torch.storage.UntypedStorage", whole(10**9))),
        "calls torch.storage.UntypedStorage in a way",
    ),
    "any codec": (called("_codecs.encode", text("a"), text("idna")), "calls _codecs.encode in a way"),
    "values that are none": (ORDERED + b"}" + text("values") + whole(3) + b"sb", "changes a collections.OrderedDict"),
    "a tensor whose method is a number": (
        entry(
            called(
                "torch._tensor._rebuild_from_type_v2",
                imported("torch._utils._rebuild_tensor_v2"),
                imported("torch.Tensor"),
                tuple_of(STORAGE, whole(0), tuple_of(whole(4)), tuple_of(whole(1)), b"\x89", ORDERED),
                b"}" + text("isfinite") + whole(3) + b"s",
            )
        ),
        "calls torch._tensor._rebuild_from_type_v2 in a way",
    ),
    "a call by another name": (
        called("torch._tensor._rebuild_from_type_v2", *map(imported, ("builtins.bytearray", "torch.Tensor")),
               tuple_of(whole(10**10)), b"N"),
        "calls torch._tensor._rebuild_from_type_v2 in a way",
    ),
    "hooks": (entry(tensor(hooks=ORDERED + text("a") + text("b") + b"s")), "calls torch._utils._rebuild_tensor_v2"),
    "more than its storage has": (entry(tensor(shape=(5,))), "torch says 'Trying to resize storage"),
    "an offset beyond it": (entry(tensor(offset=2**62)), "torch says"),
    "an offset before it": (entry(tensor(offset=-1)), "torch says"),
    "strides to before it": (entry(tensor(offset=3, strides=(-1,))), "torch says"),
    "a shape of negative sides": (entry(tensor(shape=(-2, -2), strides=(1, 1))), "torch says"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_pickle_is_refused_in_a_line_before_it_takes_time_or_memory(tmp_path, kind):
    value, says = REFUSED[kind]
    with pytest.raises(UsageError) as caught:
        read_tensors(written(tmp_path / "w.pth", value))
    said = str(caught.value)
    assert says in said
    assert "\n" not in said
    assert len(said) < 400 + len(str(tmp_path))


def test_other_protocols_are_refused_by_what_they_are(tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "w.pth", pickle_protocol=4)
    with pytest.raises(UsageError, match=r"has the operation 149 in a pickle, as torch.save by its own protocol, 2"):
        read_tensors(tmp_path / "w.pth")


ORDINARY = {
    "a state dict": lambda: torch.nn.BatchNorm2d(3).state_dict(),
    "parameters": lambda: dict(torch.nn.Conv2d(1, 2, 3).named_parameters()),
    "tensors with attributes": lambda: {"w": marked(torch.ones(3))},
    "an optimiser's state": lambda: {"w": torch.ones(3), "optimizer": trained().state_dict()},
    "other values": lambda: {
        "w": torch.ones(3), "a": {1, 2}, "b": 1 + 2j, "c": bytearray(b"ab"), "d": torch.Size((1, 2)), "e": b"\xff\x00",
        "f": torch.float16, "g": torch.device("cpu"), "h": {("a", 1): [None, True]}, "i": collections.Counter("aab"),
        "j": 2**70,
    },
}  # fmt: skip


def marked(value: torch.Tensor) -> torch.Tensor:
    value.origin = "here"  # type: ignore[attr-defined]
    return value


def trained() -> torch.optim.Optimizer:
    layer = torch.nn.Conv2d(1, 2, 3)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 1, 4, 4)).sum().backward()
    optimiser.step()
    return optimiser


@pytest.mark.parametrize("old", [False, True], ids=["archive", "before 1.6"])
@pytest.mark.parametrize("kind", [kind for kind in ORDINARY if kind != "other values"])
def test_what_people_save_is_read(tmp_path, kind, old):
    content = ORDINARY[kind]()
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    expected = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    stored = read_tensors(tmp_path / "w.pth")
    assert stored.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(stored[name], value)


def test_plain_values_beside_tensors_are_read(tmp_path):
    torch.save(ORDINARY["other values"](), tmp_path / "w.pth")
    assert read_tensors(tmp_path / "w.pth")["w"].tolist() == [1, 1, 1]


def test_an_identity_of_a_checkpoint_is_compared_whatever_it_is(tmp_path):
    identity = b"}" + text("seed") + crowd(12) + b"s"
    state = b"}" + text("state") + b"}s" + text("format") + text("fleetpose.training/1") + b"s"
    path = written(tmp_path / "a.checkpoint", state + text("identity") + identity + b"s")
    with pytest.raises(UsageError, match="is of another training"):
        load_checkpoint(path, {"seed": 0})
