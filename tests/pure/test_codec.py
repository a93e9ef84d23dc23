"""Values as JSON and back: round trips, and wrong entries that are named with their place."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetpose.codec import decode, encode
from fleetpose.errors import DataError, UsageError
from fleetpose.files import read_json, write_json
from fleetpose.json_fields import NotNegative, Positive, PositiveInt, in_json


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    name: str
    ms: Positive
    high: float = field(default=math.inf, metadata=in_json(null=math.inf))
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Machine:
    parts: tuple[Part, ...]
    size: tuple[int, int]
    kind: Literal["cpu", "mali"] = "cpu"
    fast: bool = False
    cores: PositiveInt | None = None
    loss: NotNegative = 0.0
    folder: Path | None = None
    by_name: Mapping[str, Part] = field(default_factory=dict)
    curve: Mapping[float, float] = field(default_factory=dict)
    classes: frozenset[str] = frozenset()
    words: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    date: str = field(default="", metadata=in_json("made", omit=True))
    total: int = field(default=0, metadata=in_json(encode=hex, decode=lambda text: int(text, 16)))

    json_properties: ClassVar[tuple[str, ...]] = ("pixels",)

    def __post_init__(self) -> None:
        if self.size == (0, 0):
            raise UsageError("a machine without a size")

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


names = st.text(max_size=5)
finite = st.floats(allow_nan=False, allow_infinity=False)
above_zero = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
parts = st.builds(Part, names, above_zero, st.one_of(st.just(math.inf), finite), st.sampled_from(Colour))
machines = st.builds(
    Machine,
    st.lists(parts, max_size=3).map(tuple),
    st.tuples(st.integers(1, 9), st.integers()),
    kind=st.sampled_from(("cpu", "mali")),
    fast=st.booleans(),
    cores=st.one_of(st.none(), st.integers(1, 99)),
    loss=st.floats(min_value=0, allow_infinity=False),
    folder=st.one_of(st.none(), st.just(Path("a/b"))),
    by_name=st.dictionaries(names, parts, max_size=2),
    curve=st.dictionaries(finite, finite, max_size=3),
    classes=st.frozensets(names, max_size=3),
    words=st.lists(names, max_size=3).map(tuple),
    about=st.dictionaries(names, st.one_of(st.integers(), names, st.lists(st.integers())), max_size=3),
    date=names,
    total=st.integers(0),
)


@given(machines)
@settings(max_examples=40)
def test_decode_inverts_encode_through_json(machine):
    assert decode(Machine, json.loads(json.dumps(encode(machine), allow_nan=False))) == machine


def test_encode_writes_what_metadata_says():
    encoded = encode(Machine((Part("a", 1.0),), (2, 3), total=255))
    assert encoded["parts"] == [{"name": "a", "ms": 1.0, "high": None, "colour": "red"}]
    assert "made" not in encoded
    assert (encoded["total"], encoded["pixels"]) == ("0xff", 6)
    assert encode(Machine((), (2, 3), date="today"))["made"] == "today"


PART = {"name": "a", "ms": 1}


def test_decode_takes_an_integer_for_a_float_and_defaults_for_what_is_missing():
    machine = decode(Machine, {"parts": [PART], "size": [1, 2]})
    assert machine == Machine((Part("a", 1.0),), (1, 2))
    assert isinstance(machine.parts[0].ms, float)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"parts": "a"}, "x.json: parts is 'a', not a list"),
        ({"parts": [PART, 3]}, "x.json: parts[1] is 3, not an object"),
        ({"parts": [{**PART, "ms": 0}]}, "x.json: parts[0].ms is 0, not a number above 0"),
        ({"parts": [{**PART, "ms": True}]}, "x.json: parts[0].ms is True, not a number"),
        ({"parts": [{**PART, "ms": math.nan}]}, "x.json: parts[0].ms is nan, not a finite number"),
        ({"parts": [{**PART, "ms": 10**400}]}, "not a finite number"),
        ({"parts": [{"ms": 1}]}, "x.json: parts[0] has no 'name'"),
        ({"parts": [{**PART, "colour": "rde"}]}, "x.json: parts[0].colour: unknown value 'rde'; did you mean 'red'?"),
        ({"by_name": {"a": {**PART, "nmae": ""}}}, "x.json: by_name.a: unknown key 'nmae'; did you mean 'name'?"),
        ({"by_name": {"a.b": {**PART, "name": 1}}}, "x.json: by_name['a.b'].name is 1, not a string"),
        ({"size": [1, 2, 3]}, "x.json: size is [1, 2, 3], not a list of 2"),
        ({"size": [1, 2.0]}, "x.json: size[1] is 2.0, not a whole number"),
        ({"size": [0, 0]}, "x.json: a machine without a size"),
        ({"cores": True}, "x.json: cores is True, not a whole number"),
        ({"cores": 0}, "x.json: cores is 0, not a whole number above 0"),
        ({"fast": 1}, "x.json: fast is 1, not true or false"),
        ({"kind": "gpu"}, "x.json: kind: unknown value 'gpu'"),
        ({"loss": -1}, "x.json: loss is -1, not a number of at least 0"),
        ({"curve": {"half": 1}}, "x.json: curve is 'half', not a number"),
        ({"total": "xyz"}, "x.json: total: invalid literal"),
        ({"total": 3}, "x.json: total: "),
        ({"about": 3}, "x.json: about is 3, not an object"),
        ({"mdae": "today"}, "x.json: unknown key 'mdae'; did you mean 'made'?"),
    ],
)
def test_decode_names_what_is_wrong_with_its_place(change, says):
    with pytest.raises(DataError) as caught:
        decode(Machine, {"parts": [], "size": [1, 2], **change}, "x.json")
    assert says in str(caught.value)


def test_decode_of_no_object_has_a_subject():
    with pytest.raises(DataError, match=r"^it is 3, not an object$"):
        decode(Machine, 3)
    with pytest.raises(DataError, match=r"^size is 3, not a list$"):
        decode(Machine, {"size": 3})
    with pytest.raises(DataError, match=r"^a machine without a size$"):
        decode(Machine, {"parts": [], "size": [0, 0]})


def test_types_without_json_are_refused():
    with pytest.raises(TypeError, match="no JSON is defined"):
        decode(complex, 3)


def test_json_files_are_read_as_written_and_refused_in_words(tmp_path):
    path = tmp_path / "new" / "x.json"
    write_json(path, {"format": "f/1", "value": 3})
    assert read_json(path, "plan", "f/1") == {"format": "f/1", "value": 3}
    with pytest.raises(UsageError, match="--force"):
        write_json(path, {})
    with pytest.raises(UsageError, match=r"x.json is no plan: its format is 'f/1', not 'f/2'; make it anew"):
        read_json(path, "plan", "f/2", "make it anew")
    with pytest.raises(UsageError, match=r"cannot read the plan .*nowhere: No such file"):
        read_json(tmp_path / "nowhere", "plan")
    path.write_bytes(b"\xff{")
    with pytest.raises(UsageError, match="is not JSON"):
        read_json(path, "plan")
