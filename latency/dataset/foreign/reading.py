"""Files of other tools, read by their formats; those that only say something together are put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fleetpose.errors import UsageError
from latency.dataset.content import read_content
from latency.dataset.foreign.autotvm import read_autotvm
from latency.dataset.foreign.litert_profile import read_profile
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile
from latency.dataset.foreign.metaschedule import read_metaschedule
from latency.dataset.foreign.ncnn import read_ncnn
from latency.dataset.foreign.ncnn_model import read_network
from latency.dataset.foreign.nn_meter import COLUMNS, read_kernel_files, read_kernel_table
from latency.dataset.foreign.recognising import DataFormat
from latency.dataset.rows import read_rows

#: where a database of MetaSchedule and a profile of LiteRT have what they need besides
_WORKLOADS_HINT = "which do not say the layers; give the database_workload.json beside it to --data too"
_MODEL_HINT = "which says no sizes of layers; give the .tflite file that was profiled to --data too"
#: how files that belong together are told from others
_TELLING = {
    DataFormat.TRIALS: "leave each database in its folder",
    DataFormat.PROFILE: "name a profile as its model: net.csv of net.tflite",
}


def read_foreign(paths: Mapping[Path, DataFormat], origin: MeasuredOn) -> list[ForeignFile]:
    """What files of other tools hold.

    Args:
        paths: each file and its format, which is neither records nor a table.

    Raises:
        UsageError: a file that is damaged, that lacks another one, or of which nobody says which GPU it was.
    """
    of_format: dict[DataFormat, list[Path]] = {}
    for path, data_format in paths.items():
        of_format.setdefault(data_format, []).append(path)
    files = [read_autotvm(read_content(path), str(path), origin) for path in of_format.get(DataFormat.AUTOTVM, ())]
    networks = of_format.get(DataFormat.NCNN_MODEL, [])
    models = {
        path.name.removesuffix(".gz").removesuffix(".param"): read_network(read_content(path), str(path))
        for path in networks
    }
    timings = of_format.get(DataFormat.NCNN, ())
    if models and not timings:
        raise UsageError(
            f"{networks[0]} is {DataFormat.NCNN_MODEL.value} and has no times; give what ncnn printed, too"
        )
    for path in timings:
        files.append(read_ncnn(read_content(path), str(path), origin, models))
    for path in of_format.get(DataFormat.KERNEL_TABLE, ()):
        files.append(read_kernel_table(read_rows(path, COLUMNS, {}), str(path), origin))
    if kernel_data := of_format.get(DataFormat.KERNEL_DATA):
        files.append(read_kernel_files([(str(path), read_content(path)) for path in kernel_data], origin))
    pairs = _pairs(of_format, DataFormat.TRIALS, DataFormat.WORKLOADS, _WORKLOADS_HINT, _by_folder)
    for trials, workloads in pairs:
        contents = read_content(workloads), read_content(trials)
        files.append(read_metaschedule(*contents, (str(workloads), str(trials)), origin))
    for profile, model in _pairs(of_format, DataFormat.PROFILE, DataFormat.MODEL, _MODEL_HINT, _by_stem):
        files.append(read_profile(read_content(profile), read_content(model), (str(profile), str(model)), origin))
    return files


def _by_folder(path: Path) -> str:
    return str(path.parent.resolve())


def _by_stem(path: Path) -> str:
    """A file's name without suffixes: what stands before the first dot."""
    return path.name.partition(".")[0]


def _pairs(
    of_format: Mapping[DataFormat, Sequence[Path]],
    first: DataFormat,
    second: DataFormat,
    hint: str,
    key: Callable[[Path], str],
) -> list[tuple[Path, Path]]:
    """Each file of one format with the one of another that it needs: the only one, or that of the same `key`.

    Raises UsageError, with a hint, where it lacks that, or several are as good.
    """
    holders, needed = of_format.get(first, ()), of_format.get(second, ())
    if needed and not holders:
        raise UsageError(f"{needed[0]} is {second.value} and has no times; give {first.value} to --data too")
    if holders and not needed:
        raise UsageError(f"{holders[0]} is {first.value}, {hint}")
    pairs = []
    for path in holders:
        matching = [other for other in needed if key(other) == key(path)] if len(needed) > 1 else needed
        if len(matching) != 1:
            raise UsageError(
                f"{path}: {len(matching)} of the files may be what it belongs to, {second.value}; {_TELLING[first]}"
            )
        pairs.append((path, matching[0]))
    return pairs
