"""Modules of a user's own: names that this project has too, modules that read flags, weights that are not finite."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from codegen.lowering.sizes import trace_sizes
from fleetpose.errors import UsageError
from models.resolve import create_model, model_spec
from tests.small_network import Small

NET = """
    from torch import nn

    def net():
        return nn.Conv2d(3, 4, 3, padding=1)
"""
FLAGS = """
    import argparse
    import sys
    from torch import nn

    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=4)
    WORDS = list(sys.argv)
    WIDTH = parser.parse_args().width

    def net():
        assert parser.parse_args().width == 4
        return nn.Conv2d(3, WIDTH, 3, padding=1)
"""
WANTING = """
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)

    def net():
        return parser.parse_args()
"""


def write(path, text: str) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(textwrap.dedent(text))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder."""
    before = list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = before
    own = [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]
    for name in own:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["models.mynet:net", "models.layers:net", "models:net", "devices.mynet:net"])
def test_package_of_a_users_own_that_ours_hides_is_named_with_the_mend(folder, name):
    module = name.partition(":")[0]
    package, _, inner = module.partition(".")
    write(folder / package / "__init__.py", NET)
    write(folder / package / f"{inner or 'mynet'}.py", NET)
    with pytest.raises(UsageError) as refused:
        model_spec(name)
    said = str(refused.value)
    assert f"means {folder / package}" in said
    assert f"this project's own package {package!r}" in said
    assert f"name the file, {module.replace('.', '/')}.py:net, or give your package another name" in said
    assert "\n" not in said


def test_the_mend_that_is_named_works(folder):
    write(folder / "models" / "mynet.py", NET)
    assert create_model("models/mynet.py:net").out_channels == 4
    assert "frontend" in vars(sys.modules["models"]), "this project's package of that name is still itself"


@pytest.mark.parametrize("line", ["from models.pose_resnet import net", "from models.layers import net"])
def test_import_of_a_hidden_package_within_a_users_file_says_so(folder, line):
    write(folder / "own_hidden_net.py", line)
    with pytest.raises(UsageError, match=r"this project has a package called models, too \(.*another name"):
        model_spec("own_hidden_net.py:net")


@pytest.mark.parametrize("name", ["own_flags:net", "own_flags.py:net"])
def test_module_that_reads_flags_has_none_but_its_name(folder, monkeypatch, name):
    write(folder / "own_flags.py", FLAGS)
    monkeypatch.setattr(sys, "argv", ["codegen/build.py", "--model", name, "-o", "x.so"])
    assert create_model(name).out_channels == 4
    assert [name.partition(":")[0]] == sys.modules["own_flags"].WORDS
    assert sys.argv[1] == "--model"


def test_module_that_wants_flags_is_one_line(folder):
    write(folder / "own_wanting.py", WANTING)
    with pytest.raises(UsageError, match=r"own_wanting:net\(\) ends the process \(exit status 2\): it is a script"):
        model_spec("own_wanting:net")
    write(folder / "own_script.py", "import sys; sys.exit(7)")
    command = [sys.executable, "-m", "models.layers", "--model", "own_script.py:net"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "importing own_script.py for --model own_script.py:net ends the process (exit status 7)" in done.stderr


BROKEN = """
    import torch
    from torch import nn

    def made(change):
        net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        net.register_buffer("mask", torch.tensor([float("-inf")]))
        with torch.no_grad():
            change(net)
        return net

    def nan():
        return made(lambda net: net[0].weight[0, 0, 0].fill_(float("nan")))

    def infinite():
        return made(lambda net: net[0].bias[1:].fill_(float("inf")))

    def statistic():
        return made(lambda net: net[1].running_var[0].fill_(float("inf")))

    def buffer():
        return made(lambda net: net.mask.fill_(float("nan")))

    def folded():
        return made(lambda net: net[1].running_var[:2].fill_(-1))

    def masked():
        return made(lambda net: None)
"""


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("nan", "tensor 0.weight has 3 NaN or infinite values of 108"),
        ("infinite", "tensor 0.bias has 3 NaN or infinite values of 4"),
        ("statistic", "tensor 1.running_var has 1 NaN"),
        ("buffer", "tensor mask has 1 NaN"),
        ("folded", "values of 108 once batch norms are folded in"),
    ],
)
def test_own_weights_that_are_not_finite_are_refused_by_name(folder, factory, words):
    write(folder / "own_broken_weights.py", BROKEN)
    with pytest.raises(UsageError) as refused:
        trace_sizes(f"own_broken_weights.py:{factory}", None, 0, [(16, 16)])
    assert f"own_broken_weights.py:{factory}: " in str(refused.value)
    assert words in str(refused.value)


def test_infinite_masks_are_no_weights(folder):
    write(folder / "own_broken_weights.py", BROKEN)
    assert trace_sizes("own_broken_weights.py:masked", None, 0, [(16, 16)])


def test_exported_program_with_weights_that_are_not_finite_is_refused(folder):
    network = Small().eval()
    with torch.no_grad():
        network.one.weight[0] = torch.nan
    torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 32, 32),)), "net.pt2")
    with pytest.raises(UsageError, match=r"net\.pt2: tensor one\.weight has 72 NaN or infinite values of 576"):
        create_model("net.pt2")
