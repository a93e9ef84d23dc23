"""Networks from outside the registry: factories and exported programs, and what is said when they fail."""

from __future__ import annotations

import copy
import json
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

from fleetpose import cli
from fleetpose.errors import UsageError
from models import layers as layers_command
from models.accuracy.protocol import maps_of
from models.frontend.trace import trace
from models.prune.masks.binding import homes
from models.resolve import create_model, model_spec

SOURCE = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=8):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            self.heatmaps, self.pafs = nn.Conv2d(width, 19, 1), nn.Conv2d(width, 38, 3, padding="same")

        def forward(self, x):
            x = self.stem(x)
            return self.heatmaps(x), self.pafs(x)

    def net():
        made = Net()
        nn.init.constant_(made.heatmaps.weight, 0.5)
        return made

    class Keyed(Net):
        fleetpose = {
            "size": [64, 32], "stride": 4, "blocks": {"stem": "backbone"},
            "preprocessing": {"mean": [0, 0, 0], "scale": 1, "channels": "RGB"},
        }

        def forward(self, x):
            return dict(zip(("a", "b"), super().forward(x)))

    class Shuffled(Net):
        def forward(self, x):
            return self.heatmaps(torch.erfinv(self.stem(x)))

    def wants(depth):
        return Net()

    def gives_none():
        return None

    def fails():
        raise OSError("no weights here")

    def wide():
        return nn.Sequential(nn.Conv2d(5, 4, 1), nn.Conv2d(3, 4, 1))

    def grey():
        return nn.Conv2d(1, 4, 3)

    def deep():
        return nn.Conv2d(4, 4, 3)
    deep.fleetpose = {"channels": 4, "size": [32, 32]}

    class Sized(Net):
        def forward(self, x):
            return self.stem(x).view(1, 3)

    class Two(Net):
        def forward(self, x, y):
            return super().forward(x + y)

    class Frozen(Net):
        def train(self, mode=True):
            super().train(mode)

    class Silent(Net):
        def forward(self, x):
            self.stem(x)

    class Other(Net):
        def forward(self, x):
            return {"maps": self.stem(x), "kind": object()}

    class Nested(Net):
        def forward(self, x):
            x = self.stem(x)
            return {"vector": x.flatten(1), "scales": [self.pafs.bias, None], "maps": {"fine": self.pafs(x)}}

    class Decoded(Net):
        def forward(self, x):
            heat, field = super().forward(x)
            scores, places = torch.topk(heat.flatten(1), 3)
            return {"scores": scores, "field": field.flatten(2)[0, 0, places % 4]}

    def misspelt():
        return Net()
    misspelt.fleetpose = {"strid": 4}

    def miscounted():
        return Net()
    miscounted.fleetpose = {"outputs": ["heatmaps"]}

    number, instance = 7, Net()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with own_net.py and own_broken.py in it."""
    (tmp_path / "own_net.py").write_text(textwrap.dedent(SOURCE))
    (tmp_path / "own_broken.py").write_text("import a_package_that_is_not_installed\n")
    (tmp_path / "own_hidden.py").write_text("from models.pose_resnet import net\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("own_net", "own_broken", "models_2", "own_sibling"):
        sys.modules.pop(name, None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def export(network: nn.Module, path, size=(32, 32), dynamic: bool = False, said: dict | None = None) -> str:
    sides = {2: Dim.AUTO, 3: Dim.AUTO}
    program = torch.export.export(
        network.eval(), (torch.zeros(1, 3, *size),), dynamic_shapes=(sides,) if dynamic else None
    )
    torch.export.save(program, path, extra_files={"fleetpose.json": json.dumps(said)} if said is not None else None)
    return str(path)


def test_model_spec_finds_a_factory_in_the_current_folder(folder, caplog):
    spec = model_spec("own_net:net")
    assert (spec.outputs, spec.stride, spec.size, spec.fixed_size) == (("heatmaps", "pafs"), 2, (368, 368), False)
    assert "own_net:net does not say its preprocessing" in caplog.text
    network = create_model("own_net:net")
    assert not network.training
    assert torch.all(network.heatmaps.weight == 0.5), "weights the factory sets are kept"
    first, again = create_model("own_net:net", seed=1), create_model("own_net:net", seed=1)
    assert torch.equal(first.pafs.weight, again.pafs.weight)
    assert [layer.name for layer in trace(network, (3, 32, 32)).layers] == ["stem.0", "heatmaps", "pafs"]


def test_model_spec_takes_a_file_of_any_folder_and_what_lies_beside_it(folder, monkeypatch):
    deeper = folder / "nets of mine"
    deeper.mkdir()
    (deeper / "own_sibling.py").write_text(textwrap.dedent(SOURCE))
    (deeper / "models.py").write_text("from own_sibling import net\n")
    for name in ("nets of mine/models.py:net", str(deeper / "models.py:net")):
        network = create_model(name)
        assert torch.all(network.heatmaps.weight == 0.5)
        assert model_spec(name).name == name
    assert "frontend" in vars(sys.modules["models"]), "this project's package of that name is still itself"
    monkeypatch.chdir(deeper)
    assert model_spec("models.py:net").outputs == ("heatmaps", "pafs")


@pytest.mark.parametrize(("name", "channels"), [("own_net:grey", 1), ("own_net:deep", 4), ("own_net:net", 3)])
def test_model_spec_knows_the_channels_of_the_input(folder, name, channels):
    spec = model_spec(name)
    assert spec.input_shape((16, 24)) == (channels, 16, 24)
    assert spec.preprocessing.channels == ("GREY" if channels == 1 else "BGR")
    program = torch.export.export(create_model(name), (torch.zeros(1, channels, 16, 24),))
    torch.export.save(program, folder / "net.pt2")
    assert model_spec("net.pt2").input_shape() == (channels, 16, 24)


def test_module_whose_train_answers_nothing_is_taken(folder):
    assert model_spec("own_net:Frozen").outputs == ("heatmaps", "pafs")
    assert not create_model("own_net:Frozen").training


def test_model_spec_reads_a_description_and_keys_of_the_outputs(folder, caplog):
    spec = model_spec("own_net:Keyed")
    assert (spec.size, spec.stride, spec.outputs) == ((64, 32), 4, ("a", "b"))
    assert spec.preprocessing.channels == "RGB"
    assert (spec.block("stem.0"), spec.block("pafs")) == ("backbone", "network")
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_net:nett", "did you mean 'net'?"),
        ("own_nett:net", "unknown module 'own_nett'; did you mean 'own_net'?"),
        ("own_net.deeper:net", "own_net"),
        ("own_broken:net", "a_package_that_is_not_installed"),
        (":net", "give package.module:factory or file.py:factory"),
        ("own_net.py", "say which function or class in it makes the network: own_net.py:NAME"),
        ("own_net.py:nett", "unknown factory in own_net.py: 'nett'; did you mean 'net'?"),
        ("own_nat.py:net", "did you mean 'own_net.py'?"),
        ("no_folder/own_net.py:net", "there is no file no_folder/own_net.py"),
        ("own_broken.py:net", "a_package_that_is_not_installed"),
        ("own_hidden.py:net", "so give your own another name"),
        ("weights.pth", "reads as weights; name the network they are of, and give them as --weights"),
        ("own_net:number", "is a int; name a function that returns a torch.nn.Module"),
        ("own_net:instance", "is a Net; name a function that returns a torch.nn.Module"),
        ("own_net:wants", "missing a required argument: 'depth'"),
        ("own_net:gives_none", "returned a NoneType, not a torch.nn.Module"),
        ("own_net:fails", "own_net:fails() failed: OSError: no weights here"),
        ("own_net:wide", "own_net:wide fails on a picture of 3 channels: RuntimeError: Given groups=1, weight"),
        ("own_net:Sized", "own_net:Sized does not run on 1 x 3 x 368 x 368 (own_net.py:"),
        ("own_net:Two", "own_net:Two fails on a picture of 3 channels: TypeError: Two.forward() missing 1 required"),
        ("own_net:Two", "wrap it in a module whose forward takes the picture alone and passes the others as constants"),
        ("own_net:Silent", "own_net:Silent returns no tensor; return tensors, in tuples, lists, dictionaries or"),
        ("own_net:Other", "output 'kind' is a object; return tensors, in tuples, lists, dictionaries or dataclasses"),
        ("own_net:misspelt", "did you mean 'stride'?"),
        ("own_net:miscounted", "2 different names are wanted, got heatmaps"),
        ("nothing.pt2", "cannot read the exported program nothing.pt2: No such file"),
        ("own_net.pt2", "own_net.pt2 is not a file of torch.export.save"),
    ],
)
def test_model_spec_refuses_what_is_no_network(folder, name, words):
    (folder / "own_net.pt2").write_text("no archive")
    with pytest.raises(UsageError) as error:
        model_spec(name)
    assert words in str(error.value)


def test_model_spec_names_nested_outputs(folder):
    spec = model_spec("own_net:Nested")
    assert (spec.outputs, spec.stride, spec.cut) == (("vector", "maps.fine"), 2, False)
    (vector, maps) = maps_of(create_model("own_net:Nested"), spec)(np.zeros((1, 3, 8, 6), np.float32))
    assert (vector.shape, maps.shape) == ((1, 96), (1, 38, 4, 3))


def test_model_spec_says_where_a_network_is_cut(folder, caplog):
    spec = model_spec("own_net:Decoded")
    assert (spec.outputs, spec.cut) == (("heatmaps", "pafs"), True)
    assert "own_net:Decoded: the network is cut before 'topk' in the root module (own_net.py:" in caplog.text
    assert "instead of scores, field it gives heatmaps, pafs" in caplog.text
    network = create_model("own_net:Decoded")
    x = torch.rand(1, 3, 8, 6)
    with torch.no_grad():
        expected = type(network).__mro__[1].forward(network, x)
    for maps, wanted in zip(maps_of(network, spec)(x.numpy()), expected, strict=True):
        np.testing.assert_allclose(maps, wanted, rtol=1e-5)


def test_an_operator_without_a_layer_is_named(folder, capsys):
    assert cli.run(layers_command.main, layers_command.make_parser(), ["--model", "own_net:Shuffled"]) == 2
    assert "cannot convert torch operator 'erfinv'" in capsys.readouterr().err


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_program_is_the_network_it_was(folder, dynamic):
    network = create_model("own_net:net")
    name = export(network, "net.pt2", dynamic=dynamic)
    spec, read = model_spec(name), create_model(name)
    assert (spec.outputs, spec.stride, spec.size, spec.fixed_size) == (("heatmaps", "pafs"), 2, (32, 32), not dynamic)
    size = (48, 64) if dynamic else (32, 32)
    first, second = trace(network, (3, *size)), trace(read, (3, *size))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert all(np.array_equal(first.weights[key], second.weights[key]) for key in first.weights)
    x = torch.rand(1, 3, *size)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(network(x), read(x), strict=True))


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_program_can_be_pruned_and_copied(folder, dynamic):
    network = create_model(export(create_model("own_net:net"), "net.pt2", dynamic=dynamic))
    found = homes(network, trace(network, (3, 32, 32)))
    assert {home.name: home.norm is not None for home in found.values()} == {
        "stem.0.weight": True, "heatmaps.weight": False, "pafs.weight": False,
    }  # fmt: skip
    copied = copy.deepcopy(network)
    with torch.no_grad():
        copied.heatmaps.weight.zero_()
        assert torch.all(copied(torch.rand(1, 3, 32, 32))[0] == copied.heatmaps.bias[:, None, None])
    with pytest.raises(UsageError, match=r"one picture at a time, not 2; to train, give its module"):
        network(torch.rand(2, 3, 32, 32))


def test_a_program_carries_its_description(folder):
    said = {"outputs": ["pafs", "other"], "stride": 4, "size": [64, 96]}
    spec = model_spec(export(create_model("own_net:net"), "net.pt2", dynamic=True, said=said))
    assert (spec.outputs, spec.stride, spec.size) == (("pafs", "other"), 4, (64, 96))
    with pytest.raises(UsageError, match="says another size than the 32x32"):
        model_spec(export(create_model("own_net:net"), "fixed.pt2", said=said))


def test_a_program_of_another_input_is_refused(folder):
    program = torch.export.export(nn.Conv2d(3, 4, 1), (torch.zeros(2, 3, 8, 8),))
    torch.export.save(program, "pair.pt2")
    with pytest.raises(UsageError, match=r"not \(1, C, H, W\)"):
        model_spec("pair.pt2")


def test_a_name_that_reads_as_a_factory_is_not_registered():
    from dataclasses import replace

    from models.zoo.registry import register_model

    with pytest.raises(UsageError, match="reads as a file or a factory"):
        register_model(replace(model_spec("lwop"), name="a:b"))


def test_json_is_json_where_the_network_prints(tmp_path, capsys):
    """As it is imported, made and run."""
    (tmp_path / "talking.py").write_text(
        textwrap.dedent("""
            from torch import nn

            print("imported")

            class Net(nn.Conv2d):
                def __init__(self):
                    super().__init__(3, 8, 3)
                    print("made")

                def forward(self, x):
                    print("run")
                    return super().forward(x)
        """)
    )
    parser, flags = layers_command.make_parser(), ["--model", f"{tmp_path / 'talking.py'}:Net"]
    assert cli.run(layers_command.main, parser, [*flags, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["layers"]
    assert {"imported", "made", "run"} <= set(captured.err.split())
