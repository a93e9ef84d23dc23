"""Damaged annotations, tables, pictures and videos are read, or refused in one short line.

There is no traceback, no crash, and no file that never ends.
"""

import pytest

from tests.fuzzing import attack
from tests.sweep import EVERYTHING

#: files for each reader
FILES = 10_000 if EVERYTHING else 100


@pytest.mark.slow
@pytest.mark.parametrize("target", ["Coco", "Table", "Picture", "Video"])
def test_reader_holds_against_damaged_files(target, capsys):
    result = attack(f"tests.fuzz_targets:{target}", FILES)
    with capsys.disabled():
        print(f"\n{target}: {result.summary}")
    assert result.counts.total() == FILES
    assert result.counts["read"] > 0, "some damage leaves a file readable"
    assert result.counts["refused"] > FILES / 5
    assert not result.faults, "\n".join(result.faults[:20])


class Faulty:
    """A reader that does everything a reader may not; the harness itself is tested by it."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, seed):
        return self.folder / str(seed)

    def read(self, path):
        import os

        from fleetpose.errors import UsageError

        match int(path.name):
            case 0:
                raise ValueError("no words of ours")
            case 1:
                os.kill(os.getpid(), 11)
            case 2:
                raise UsageError("x" * 1000)
            case 3:
                raise UsageError("two\nlines")
            case 4:
                raise UsageError("short")


def test_attack_tells_faults_apart():
    result = attack("tests.pure.test_damaged_files:Faulty", 6)
    assert result.counts == {"traceback": 1, "crash": 1, "long error": 2, "refused": 1, "read": 1}
    assert [fault.partition(":")[0] for fault in result.faults] == ["seed 0", "seed 1", "seed 2", "seed 3"]
    assert "status -11" in result.faults[1]
