"""Files from elsewhere: weights and programs that are damaged, of other kinds, or that would run code when loaded."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from fleetpose.errors import UsageError
from fleetpose.trust import VARIABLE, trusting
from models.resolve import model_spec
from models.zoo.stored.archive import make_archive, read_members
from models.zoo.stored.expressions import check_expression
from models.zoo.stored.safetensors_header import check_safetensors
from models.zoo.weights import load_weights, read_tensors


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


class Marks:
    """Unpickles into a call that leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_tensors(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400 + len(str(path))
    return text


def saved(path: Path, content: object, **how: object) -> Path:
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("old", [False, True], ids=["archive", "before 1.6"])
def test_a_truncated_checkpoint_is_refused_in_words(tmp_path, old):
    path = saved(tmp_path / "w.pth", small().state_dict(), _use_new_zipfile_serialization=not old)
    whole = path.read_bytes()
    assert read_tensors(path).keys() == small().state_dict().keys()
    for length in (0, 1, 3, 7, 30, 100, len(whole) // 2, len(whole) - 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "w.pth is not a PyTorch checkpoint of plain tensors" in refusal(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "it is text that begins with 'version https",
        ),
        (b"<!DOCTYPE html><html>", "it is text that begins with '<!DOCTYPE"),
        (b"\x80\x02.", "it is cut off or damaged"),
        (b"PK\x03\x04 and nothing", "it is cut off or damaged"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, content, says):
    (tmp_path / "w.pth").write_bytes(content)
    assert says in refusal(tmp_path / "w.pth")


KINDS = {
    "sparse tensors; save them dense": lambda: {"a": torch.eye(3).to_sparse()},
    "meta tensors, which have no numbers": lambda: {"a": torch.zeros(3, device="meta")},
    "quantised tensors; save them as floats": lambda: {
        "a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    },
    "tensor 'a' is float8_e4m3fn, which no network here has": lambda: {"a": torch.ones(3).to(torch.float8_e4m3fn)},
    "tensor 'a' is complex64": lambda: {"a": torch.ones(3, dtype=torch.complex64)},
    "tensor 'a' repeats few numbers": lambda: {"a": torch.ones(1).expand(1 << 30)},
    "holds several state dicts (one, two); save one": lambda: {
        "one": small().state_dict(),
        "two": small().state_dict(),
    },
    "holds a torch.nn.modules.conv.Conv2d, which would be code": lambda: nn.Conv2d(1, 1, 1),
}


@pytest.mark.parametrize("says", KINDS)
def test_tensors_of_other_kinds_are_named(tmp_path, says):
    assert says in refusal(saved(tmp_path / "w.pth", KINDS[says]()))


@pytest.mark.parametrize("wrapping", ["state_dict", "model_state_dict", "network", "state_dict_ema", "anything"])
def test_usual_wrappings_are_understood(tmp_path, wrapping):
    network, other = small(), small()
    content = {wrapping: network.state_dict(), "epoch": 3, "args": {"lr": 0.1}}
    load_weights(other, saved(tmp_path / "w.pth", content))
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    nested = saved(tmp_path / "nested.pth", {"model": content, "optimizer": {"state": {}}})
    assert read_tensors(nested).keys() == network.state_dict().keys()


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path):
    content: dict = {"epoch": 3}
    content["state_dict"] = content
    with pytest.raises(UsageError, match="it holds a container that holds itself"):
        load_weights(small(), saved(tmp_path / "w.pth", content))


def test_a_state_dict_in_twenty_dicts_is_refused(tmp_path):
    content: dict = small().state_dict()
    for _ in range(20):
        content = {"state_dict": content}
    with pytest.raises(UsageError, match="dicts in one another; save the state dict alone"):
        load_weights(small(), saved(tmp_path / "w.pth", content))


def test_names_of_tensors_stay_on_one_line(tmp_path):
    state = small().state_dict()
    path = saved(tmp_path / "w.pth", {"a\nb": state.pop("0.bias"), "c" * 10_000: torch.zeros(1), **state})
    with pytest.raises(UsageError, match=r"unexpected \(a b, c+\.\.\.\)") as caught:
        load_weights(small(), path)
    assert "\n" not in str(caught.value)


def test_a_storage_that_is_not_all_there_is_refused_before_torch_reads_it(tmp_path):
    path = saved(tmp_path / "w.pth", {"a": torch.zeros(4)})
    members = read_members(path)
    longer = members["data.pkl"].replace(b"K\x04tq\x07Q", b"J\xff\xff\xff\x0ftq\x07Q")
    assert longer != members["data.pkl"]
    path.write_bytes(make_archive({**members, "data.pkl": longer}).getvalue())
    assert "the numbers '0' are not all there" in refusal(path)


@pytest.mark.parametrize("old", [False, True], ids=["archive", "before 1.6"])
def test_a_checkpoint_runs_no_code(tmp_path, old):
    mark = tmp_path / "mark"
    path = saved(tmp_path / "w.pth", {"a": torch.zeros(1), "b": Marks(mark)}, _use_new_zipfile_serialization=not old)
    assert "posix.mkdir, which would be code" in refusal(path)
    assert not mark.exists()


def with_header(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is cut off"),
        (with_header({}, length=1 << 60), "it is cut off"),
        (with_header(b"[" * 100_000), "its header has more than 4 lists and objects"),
        (with_header(b'{"a": 1, "a": 2}'), "its header has the key 'a' twice"),
        (with_header({"a": {**ENTRY, "shape": [1 << 40]}}, bytes(8)), "its shape .1099511627776. takes"),
        (with_header({"a": {**ENTRY, "shape": [0, 1 << 62], "data_offsets": [0, 0]}}), "has the shape"),
        (with_header({"a": {**ENTRY, "shape": [-2]}}, bytes(8)), "is -2, not a whole number of at least 0"),
        (with_header({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)), "has -8 bytes"),
        (with_header({"a": {**ENTRY, "dtype": "F33"}}, bytes(8)), "is of type 'F33'"),
        (with_header({"a": {**ENTRY, "more": 1}}, bytes(8)), "not dtype, shape and data_offsets"),
        (with_header({"a": ENTRY}, bytes(9)), "have 8 bytes, but 9 are there"),
        (with_header({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "overlap"),
        (with_header({"__metadata__": {"a": 1}}), "its metadata.a is 1, not a string|its metadata: a is 1"),
    ],
)
def test_a_safetensors_header_is_checked_before_it_is_read(tmp_path, content, says):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        check_safetensors(path)
    assert "is not a safetensors file" in refusal(path)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("constant", torch.ones(4, 1, 1))

    def forward(self, x):
        return {"maps": self.conv(x) * self.constant}


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> dict[str, bytes]:
    """The members of an exported program."""
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    torch.export.save(torch.export.export(Own().eval(), (torch.zeros(1, 3, 16, 24),)), path)
    return read_members(path)


def write_program(path: Path, members: dict[str, bytes]) -> Path:
    path.write_bytes(make_archive(members).getvalue())
    return path


def test_an_ordinary_program_is_read_without_trust(program, tmp_path):
    spec = model_spec(str(write_program(tmp_path / "net.pt2", program)))
    assert spec.input_shape() == (3, 16, 24)
    assert spec.outputs == ("maps",)


def pickled(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def changed_text(members: dict[str, bytes], change) -> dict[str, bytes]:
    content = json.loads(members["models/model.json"])
    change(content)
    return {**members, "models/model.json": json.dumps(content).encode()}


def nodes(content: dict) -> list[dict]:
    return content["graph_module"]["graph"]["nodes"]


def call_system(mark: Path):
    def change(content: dict) -> None:
        nodes(content)[0]["target"] = "torch.os.mkdir"
        nodes(content)[0]["inputs"] = [{"name": "", "arg": {"as_string": str(mark)}, "kind": 1}]

    return change


def rename_input(name: str):
    def change(content: dict) -> None:
        text = json.dumps(content["graph_module"]).replace('"x"', json.dumps(name))
        content["graph_module"] = json.loads(text)

    return change


def import_enum(content: dict) -> None:
    context = json.dumps([{"__enum__": True, "fqn": "antigravity:X", "name": "Y"}])
    spec = {
        "type": "builtins.dict",
        "context": context,
        "children_spec": [{"type": None, "context": None, "children_spec": []}],
    }
    content["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps([1, spec])


def shape_of(text: str):
    def change(content: dict) -> None:
        values = content["graph_module"]["graph"]["tensor_values"]
        next(iter(values.values()))["sizes"][0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 1}}}

    return change


def attacks(program: dict[str, bytes], mark: Path) -> dict[str, dict[str, bytes]]:
    trap = pickled((Marks(mark),))
    config = {
        "config": {"c": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}}
    }
    call = f"__import__('os').mkdir({str(mark)!r})"
    return {
        "sample inputs": {**program, "data/sample_inputs/model.pt": trap},
        "old weights": {**program, "data/weights/model.pt": trap},
        "a pickled constant": {
            **program,
            "data/constants/model_constants_config.json": json.dumps(config).encode(),
            "data/constants/opaque_obj_0": pickle.dumps(Marks(mark)),
        },
        "compiled code": {**program, "data/aotinductor/model/model.so": b"\x7fELF"},
        "an operator": changed_text(program, call_system(mark)),
        "a file": changed_text(program, lambda c: nodes(c)[0].update(target="torch.ops.aten.from_file.default")),
        "a name": changed_text(program, rename_input(f"x={call}")),
        "a shape": changed_text(program, shape_of(call)),
        "a power": changed_text(program, shape_of("9**9**9**9")),
        "a container": changed_text(program, import_enum),
        "a guard": changed_text(program, lambda c: c.update(verifiers=[call])),
    }


ATTACKS = ("sample inputs", "old weights", "a pickled constant", "compiled code", "an operator", "a file", "a name",
           "a shape", "a power", "a container", "a guard")  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_program_that_may_run_code_needs_trust(program, tmp_path, attack):
    mark = tmp_path / "mark"
    path = write_program(tmp_path / "net.pt2", attacks(program, mark)[attack])
    with pytest.raises(UsageError, match=r"loading it may run code; .* --trust") as caught:
        model_spec(str(path))
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_trust_lets_a_program_do_what_it_wants(program, tmp_path):
    mark = tmp_path / "mark"
    path = write_program(tmp_path / "net.pt2", attacks(program, mark)["sample inputs"])
    with trusting(True), pytest.raises(UsageError):  # a folder's name is no sample input
        model_spec(str(path))
    assert mark.exists(), "the attack is one"
    assert VARIABLE not in os.environ


def test_guards_are_left_out(program, tmp_path):
    members = changed_text(program, lambda c: c.update(guards_code=["__import__('os').abort()"]))
    assert model_spec(str(write_program(tmp_path / "net.pt2", members))).outputs == ("maps",)


def test_a_damaged_program_is_refused_in_one_line(program, tmp_path):
    path = write_program(tmp_path / "net.pt2", program)
    whole = path.read_bytes()
    for length in (0, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"is not a file of torch.export.save: it is cut off") as caught:
            model_spec(str(path))
        assert "\n" not in str(caught.value)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/models/model.json", b" " * 10**6)
    path.write_bytes(packed.getvalue())
    with pytest.raises(UsageError, match="has a compressed member"):
        model_spec(str(path))


GOOD = (
    *("s0", "2*s0 + 1", "((s0 - 1)//2) + 1", "FloorDiv(s77, 2)", "Symbol('s53', positive=True, integer=True)"),
    *("Add(Mul(Integer(2), Symbol('s53', integer=True)), Integer(-1))", "s0**2", "Pow(s0, Integer(2))", "Eq(s0, 4)"),
)
BAD = (
    *("__import__('os')", "s0.__class__", "Symbol('os')", "9**9**9", "(9**8)**8", "Pow(Pow(9, 8), 8)"),
    *("Pow(9, Integer(999))", "lambda: 1", "[1]", "eval('1')", "Symbol('s0', cls=3)", "'s0'", "Integer('9')", "s0[0]"),
    *("preview(s0)", "Add(*s0)", "Add(s0, evaluate=False)", "9" * 30, "(" * 400 + "1" + ")" * 400, "s0;s1", "f'{s0}'"),
    "s0 if s0 else s0",
)


def test_shapes_are_arithmetic_on_sides():
    for text in GOOD:
        check_expression(text)
    for text in BAD:
        with pytest.raises(UsageError, match="which is no arithmetic on sides"):
            check_expression(text)


FACTORY = """
from pathlib import Path
from torch import nn
Path({mark!r}).mkdir()
def net():
    return nn.Conv2d(3, 4, 3)
net.fleetpose = {{"size": [8, 8], "preprocessing": {{"mean": [0, 0, 0], "scale": 1, "channels": "RGB"}}}}
"""


def test_a_description_that_names_a_factory_needs_trust(tmp_path):
    mark, source = tmp_path / "mark", tmp_path / "own_factory.py"
    source.write_text(FACTORY.format(mark=str(mark)))
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"format": "fleetpose.replaced/1", "model": f"{source}:net", "replacements": []}))
    with pytest.raises(UsageError, match=r"own_factory.py:net.* is code that would run; .* --trust"):
        model_spec(str(path))
    assert not mark.exists()
    with trusting(True):
        assert model_spec(str(path)).size == (8, 8)
    assert mark.exists()


def test_a_factory_that_was_named_may_be_named_by_files(tmp_path):
    source = tmp_path / "own_named.py"
    source.write_text(FACTORY.format(mark=str(tmp_path / "mark")))
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"format": "fleetpose.replaced/1", "model": f"{source}:net", "replacements": []}))
    model_spec(f"{source}:net")
    assert model_spec(str(path)).name.endswith("+replaced")


def test_a_description_of_itself_ends(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"format": "fleetpose.replaced/1", "model": str(path), "replacements": []}))
    with pytest.raises(UsageError, match="a description too"):
        model_spec(str(path))
