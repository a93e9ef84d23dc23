"""Files of the cache that no start asks for again: those of another driver go, all others stay."""

from __future__ import annotations

import pytest

from tests.runtime_c.running import Runner, expected_values
from tests.runtime_c.tiny_package import doubling_package

DIGITS = "0123456789abcdef"


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("cache_names"))


def test_files_of_the_same_package_by_another_driver_go(runner, tmp_path):
    runner.run(doubling_package(), cache=tmp_path)
    (own,) = tmp_path.iterdir()
    word, package, device, driver = own.stem.split("-")
    assert (word, len(package), len(device), len(driver)) == ("fleetpose", 16, 16, 16)
    old = [f"{word}-{package}-{device}-{DIGITS}.bin", f"{word}-{package}-{device}-{DIGITS[::-1]}.bin.trial"]
    others = [
        f"{word}-{DIGITS}-{device}-{DIGITS}.bin", f"{word}-{package}-{DIGITS}-{DIGITS}.bin",
        f"{word}-{package}-{device}-{DIGITS.upper()}.bin", f"{word}-{package}-{device}-{DIGITS}.bin.notes",
        f"{word}-{package}-{device}-{DIGITS}0.bin", f"{word}-{package}-{device}.bin", "notes.txt",
    ]  # fmt: skip
    for name in (*old, *others):
        (tmp_path / name).write_bytes(b"of somebody")
    (tmp_path / f"{word}-{package}-{device}-{'0' * 16}.bin").mkdir()
    answer = runner.run(doubling_package(), cache=tmp_path, faults="none")
    assert answer["compilations"] == 0, "nothing is written, so nothing goes"
    assert (tmp_path / old[0]).exists()
    own.unlink()
    answer = runner.run(doubling_package(), cache=tmp_path, faults="none")
    assert (answer["compilations"], answer["values"]) == (2, [expected_values()])
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert left == {own.name, *others}
    assert (tmp_path / f"{word}-{package}-{device}-{'0' * 16}.bin").is_dir()
