"""Outputs against inputs, against each other, and against what exists."""

from pathlib import Path

import pytest

from fleetpose.errors import UsageError
from fleetpose.outputs import check_outputs, check_weights_name, lies_in, same_file


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["plan.json", "./plan.json", "folder/../plan.json", "symbolic.json", "hard.json"])
def test_output_that_is_an_input_is_refused(here, name, force):
    (here / "folder").mkdir()
    (here / "symbolic.json").symlink_to("plan.json")
    (here / "hard.json").hardlink_to("plan.json")
    with pytest.raises(UsageError, match=r"its manifest .* would replace --plan plan.json; give another -o"):
        check_outputs({"-o": "pose.so", "its manifest": name}, {"--plan": "plan.json"}, force=force)


def test_output_is_compared_with_inputs_that_are_not_there(here):
    with pytest.raises(UsageError, match="would replace"):
        check_outputs({"-o": here / "w.safetensors"}, {"--weights": "w.safetensors"})


def test_output_that_is_kept_is_compared_with_inputs_too(here):
    with pytest.raises(UsageError, match=r"the journal plan.json would replace --plan plan.json"):
        check_outputs({}, {"--plan": ["a.json", "plan.json"]}, kept={"the journal": "plan.json"})


def test_two_outputs_are_two_files(here):
    with pytest.raises(UsageError, match=r"-o net.csv and the log net.csv are one file"):
        check_outputs({"-o": "net.csv", "the log": "net.csv"}, {})
    with pytest.raises(UsageError, match="are one file"):
        check_outputs({"--dump": ["a", "b", "./a"]}, {})


def test_output_that_exists_needs_force(here):
    with pytest.raises(UsageError, match=r"plan.json exists; add --force"):
        check_outputs({"-o": "new.so", "its manifest": "plan.json"}, {"--weights": None})
    check_outputs({"-o": "new.so", "its manifest": "plan.json"}, {"--weights": None}, force=True)
    check_outputs({"-o": "new.so"}, {}, kept={"the checkpoint": "plan.json"})


def test_output_is_a_file_with_force_too(here):
    """A device is not replaced by a file, whatever user this is."""
    for kept in (False, True):
        with pytest.raises(UsageError, match="is a character device"):
            check_outputs({} if kept else {"-o": "/dev/null"}, {}, force=True, kept={"-o": "/dev/null"} if kept else {})
    assert Path("/dev/null").is_char_device()


def test_output_cannot_be_a_folder_or_stand_in_a_file(here):
    (here / "folder").mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        check_outputs({}, {}, kept={"the journal": "folder"})
    with pytest.raises(UsageError, match="cannot write"):
        check_outputs({"-o": "plan.json/x.so"}, {}, force=True)


@pytest.mark.parametrize("name", ["net.pth", "net.ckpt", "net.PT", "net.bin"])
def test_weights_are_not_named_as_checkpoints(name):
    with pytest.raises(UsageError, match=rf"{name} is the name of a PyTorch checkpoint.* give -o net.safetensors"):
        check_weights_name(f"folder/{name}")


def test_weights_may_have_other_names():
    for name in ("net.safetensors", "net", "net.v2"):
        check_weights_name(name)


def test_same_file_follows_links(here):
    (here / "loop").symlink_to(here)
    assert same_file(here / "loop" / "plan.json", here / "plan.json")
    assert same_file(here / "loop" / "none", here / "none")
    assert not same_file(here / "plan.json", here / "none")


def test_path_lies_in_a_folder_through_links(here):
    (here / "loop").symlink_to(here)
    assert lies_in(here / "loop" / "none", here)
    assert lies_in(here, here)
    assert not lies_in(here, here / "folder")
    assert not lies_in(here.with_name(here.name + "x"), here)
