"""Manifests as values: what fits together and what does not, and whatever stands in the place of an entry."""

import json
from dataclasses import replace

import pytest

from codegen.artifact.manifest import Entry, FixedTensor, Manifest, TensorSpec
from codegen.artifact.pose import check_pose
from codegen.artifact.reading import check_consistency
from fleetpose.codec import decode, encode
from fleetpose.errors import DataError, UsageError
from models.graph.answer import ViewStep
from tests import sweep
from tests.sample_manifest import INTRUDERS, at, entry, mutations, places, put, sample_manifest


def read(values) -> Manifest:
    manifest = decode(Manifest, values, "pose.json")
    check_consistency(manifest, "pose.json")
    return manifest


def test_manifest_is_read_as_it_was_written():
    manifest = sample_manifest()
    assert read(json.loads(json.dumps(encode(manifest)))) == manifest


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("model",), "", "model: it is empty"),
        (("entries",), [], "entries: there is none"),
        (("entries", 0, "name"), "run_64x64", "entries[0]: the entry for (1, 3, 64, 96) is called run_64x96"),
        (("entries", 0, "input", "dtype"), "float16", "what an entry takes and gives is float32, not 'float16'"),
        (("entries", 0, "input", "shape"), [1, 3, 64], "a tensor of an entry is (1, C, H, W), not (1, 3, 64)"),
        (("entries", 0, "input", "shape", 1), 4, "entries: run_64x64 takes another input than run_64x96"),
        (("entries", 1, "outputs", 0, "name"), "pafs", "outputs of run_64x64 do not have names of their own"),
        (("entries", 1, "outputs", 0, "name"), "maps", "run_64x64 gives other outputs than run_64x96"),
        (("entries", 0, "outputs", 0, "shape", 1), 0, "(1, 0, 8, 12) is the shape of no tensor"),
        (("entries", 0, "outputs", 0, "shape", 1), 2**40, "is the shape of no tensor"),
        (("entries", 0, "outputs", 1, "shape", 1), 9, "a view cannot reshape (1, 9, 8, 12) to (1, 2, 4, 8, 12)"),
        (("entries", 0, "outputs", 1, "view", 1, "values"), [0, 1, 2], "a view cannot transpose"),
        (("entries", 0, "fixed", 0, "dtype"), "object", "unknown dtype 'object'"),
        (("entries", 0, "fixed", 0, "shape"), [3], "4 values are not of the shape (3,)"),
        (("entries", 0, "layers", 1, "variant"), "colums:0.5:4x1", "did you mean 'columns'"),
        (("entries", 0, "layers", 1, "macs"), -1, "-1 multiply-adds are fewer than none"),
        (("entries", 0, "layers", 2, "kernels"), ["a"], "'twin' is not launched with the layer before it"),
        (("entries", 0, "layers", 0, "with_previous"), True, "'input' is not launched with the layer before it"),
        (("entries", 0, "layers", 1, "widened"), "summs", "widened"),
        (("widened", "by"), "lenght", "widened: unknown way to widen layers 'lenght'; did you mean 'length'"),
        (("widened", "file"), "../sums.json", "widened: '../sums.json' is no name of a file"),
        (("preprocessing", "channels"), "RBG", "preprocessing: preprocessing channels must be"),
        (("sha256",), "AB", "sha256: 'AB' is no SHA-256"),
        (("weights",), {}, "weights: they are a file and its sha256, or a seed, not nothing"),
        (("weights", "file"), "../w.safetensors", "weights: '../w.safetensors' is no name of a file"),
        (("parameters",), [], "parameters: parameters and a file of them go together"),
        (("parameters", 1), "p0", "parameters: parameters do not have names of their own"),
        (("parameters_file", "file"), "/etc/passwd", "parameters: '/etc/passwd' is no name of a file"),
        (("device", "name"), 3, "device: name is 3, not a string"),
        (("gpu",), "powervr", "gpu: unknown kind of device 'powervr'"),
        (("host",), "windows", "host: unknown host 'windows'"),
        (("dtype",), "float64", "dtype: unknown dtype 'float64'; did you mean"),
        (("versions", "apache-tvm"), "", "versions: they are of fleetpose, apache-tvm, apache-tvm-ffi"),
        (("elf",), {}, "elf: it has no 'machine'"),
        (("plan", "zeros"), "some", "plan: its zeros are given or one-shot, not 'some'"),
        (("stride",), -8, "stride: -8 is below 0"),
        (("textures",), ["t", "t"], "textures: textures do not have names of their own"),
    ],
)  # fmt: skip
def test_manifest_refuses_what_does_not_fit(path, value, said):
    with pytest.raises(DataError) as caught:
        read(put(encode(sample_manifest()), path, value))
    assert said in str(caught.value)
    assert str(caught.value).startswith("pose.json: ")


def test_manifest_refuses_a_size_that_is_there_twice():
    with pytest.raises(DataError, match="entries: run_64x96 is there twice"):
        read(encode(replace(sample_manifest(), entries=(entry(64, 96), entry(64, 96)))))


def test_entry_without_outputs_is_none():
    with pytest.raises(UsageError, match="run_8x8 has no outputs"):
        Entry("run_8x8", TensorSpec("x", (1, 3, 8, 8)), (), entry(8, 8).layers)


def test_constant_outputs_are_finite():
    with pytest.raises(UsageError, match="'mask' is constant and not finite, which a manifest cannot hold"):
        FixedTensor("mask", (1,), "float32", (float("-inf"),))


def test_view_of_no_such_kind_is_none():
    with pytest.raises(ValueError, match="a step of a view is"):
        ViewStep("pickle", (1,))


def refused_or_read(values, done: str) -> bool:
    """Whether a manifest is refused, in one line that is not long; any other exception is the test's failure.

    What is read is also asked whether people are found by it, as running it does first.
    """
    said = ""
    try:
        check_pose(read(values))
    except UsageError as error:
        said = str(error)
    assert "\n" not in said, done
    assert len(said) < 600, done
    return bool(said)


def test_manifest_whose_entries_are_replaced_is_refused_or_read():
    """Every entry, also within others, by every intruder."""
    values = json.loads(json.dumps(encode(sample_manifest())))
    everywhere = sweep.sample([path for path in places(values) if path], 60)
    cases = [(path, other) for path in everywhere for other in INTRUDERS if other != at(values, path)]
    refused = [refused_or_read(put(values, path, other), f"{path}: {other!r}") for path, other in cases]
    assert sum(refused) > 0.8 * len(cases)


def test_manifest_mutated_at_random_is_refused_or_read():
    values = json.loads(json.dumps(encode(sample_manifest())))
    for done, changed in mutations(values, seed=1, count=30_000 if sweep.EVERYTHING else 2_000):
        refused_or_read(changed, done)
