"""Dataset: files of measurements, each read once: our own records (JSONL), public tables (CSV), files of other tools.

Which a file is is found by its content; each may be gzipped.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetpose.errors import UsageError
from fleetpose.files import sha256
from latency.dataset.content import is_gzipped, read_content, read_head
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.measurement import ForeignFile, check_columns_of_layers
from latency.dataset.foreign.reading import read_foreign
from latency.dataset.foreign.recognising import HEAD_BYTES, DataFormat, recognise
from latency.dataset.observations import check_columns, layer_passes, network_passes, sample_of_record
from latency.dataset.rows import TableRow, read_rows
from latency.dataset.sample import OWN, Sample, about_device
from latency.dataset.tables import REQUIRED, table_samples
from latency.dataset.tvm_kernels import TVM, fastest
from latency.profiling.normalise import normalise_records, usual_reference
from latency.records.read import parse, read_records
from latency.records.record import Record

log = logging.getLogger("latency.dataset.read")


@dataclass(frozen=True)
class Dataset:
    """The measurements of some files, and which of them count.

    Attributes:
        paths: the files.
        where: COLUMN=VALUE texts that rows must meet; several of one column: any of them.
        tables: the rows of each table, all of them.
        records: the records of each file of records, all of them.
        configurations: of kernels that were tuned every configuration counts, not the fastest of each layer and class.
        foreign: what files of other tools hold.
    """

    paths: tuple[Path, ...]
    where: tuple[str, ...]
    tables: tuple[tuple[TableRow, ...], ...]
    records: tuple[tuple[Record, ...], ...]
    configurations: bool = False
    foreign: tuple[ForeignFile, ...] = ()

    @classmethod
    def read(
        cls,
        paths: Sequence[Path | str],
        where: Sequence[str] = (),
        configurations: bool = False,
        origin: MeasuredOn | None = None,
    ) -> Dataset:
        """Read files; see the attributes.

        Args:
            origin: which device and GPU times are of, where a file does not say it.

        Raises:
            UsageError: a file that is missing, empty, damaged or of no known format, or an unknown column.
        """
        wanted, tables, records, others = parse_where(where), [], [], dict[Path, DataFormat]()
        for path in map(Path, paths):
            data_format = format_of(path)
            if data_format is DataFormat.TABLE:
                tables.append(tuple(read_rows(path, REQUIRED, wanted)))
                continue
            if data_format is not DataFormat.RECORDS:
                check_columns_of_layers(str(path), wanted)
                others[path] = data_format
                continue
            own = tuple(parse(read_content(path), str(path))[0] if is_gzipped(path) else read_records(path))
            layers = [record for record in own if record.kind == "layer"]
            failed = sum(not record.ok for record in layers)
            if failed:
                log.warning(
                    "%s: %d of %d variants failed and have no time; they are left out", path, failed, len(layers)
                )
            check_columns(path, wanted)
            if "marks" not in wanted:
                _say_marks(path, own)
            records.append(own)
        foreign = tuple(read_foreign(others, origin or MeasuredOn()))
        return cls(tuple(map(Path, paths)), tuple(where), tuple(tables), tuple(records), configurations, foreign)

    @property
    def wanted(self) -> dict[str, list[str]]:
        """`where` as column -> values."""
        return parse_where(self.where)

    @property
    def reference_ms(self) -> float | None:
        """The usual milliseconds of the reference kernel; None where no record has it."""
        return usual_reference(record for records in self.records for record in records)

    @property
    def hash(self) -> str:
        """SHA-256 of the files' own, sorted."""
        return hashlib.sha256("".join(sorted(map(sha256, self.paths))).encode()).hexdigest()

    @property
    def date(self) -> str:
        """When the newest of the records was measured; "" of tables, which do not say."""
        return max((record.date for records in self.records for record in records), default="")

    def samples(
        self,
        clock: str = "auto",
        every_op: bool = False,
        reference_ms: float | None = None,
        *,
        several: bool = False,
    ) -> list[Sample]:
        """The samples with a time, those of tables first, not merged.

        Args:
            clock: of our records: "event", "wall", or "auto": events where the device has them.
            every_op: of tables, operators that are no convolutions too.
            reference_ms: pace that our records are brought to (`latency.profiling.normalise`); by default their
                usual one.
            several: of several devices.

        Raises:
            UsageError: nothing is left, there are several devices, or a record lacks the clock.
        """
        wanted = self.wanted
        samples = [
            sample for rows in self.tables for sample in table_samples(rows, wanted, every_op, self.configurations)
        ]
        samples += [sample for file in self.foreign for sample in file.samples(wanted, self.configurations)]
        if self.foreign and not self.configurations:  # the fastest of all files
            tuned = [sample for sample in samples if sample.framework == TVM]
            samples = [sample for sample in samples if sample.framework != TVM] + fastest(tuned)
        layers = [
            record
            for records in self.records
            for record in records
            if record.kind == "layer" and record.ok and layer_passes(record, wanted)
        ]
        samples += [sample_of_record(record, clock) for record in normalise_records(layers, reference_ms)]
        if not samples:
            chosen = " ".join(f"{name}={'|'.join(values)}" for name, values in wanted.items())
            what = f"no row with a time passes --where {chosen}" if chosen else "no row has a time"
            raise UsageError(f"{', '.join(map(str, self.paths))}: {what}{self._whole_networks()}")
        devices = sorted({f"{sample.framework} on {sample.device}" for sample in samples})
        if len(devices) > 1 and not several:
            raise UsageError(
                f"times of {len(devices)} devices ({', '.join(devices):.240}); choose one by --where, for instance"
            )
        return samples

    def _whole_networks(self) -> str:
        """What can be done with files that time whole networks alone; "" where there are none."""
        names = [run.name for file in self.foreign for run in file.networks]
        if not names:
            return ""
        return (
            f"; it has times of {len(names)} whole networks ({', '.join(names):.80}), which say nothing of single "
            "layers: give it to latency.evaluate --networks, beside times of their layers"
        )

    def networks(self, reference_ms: float | None = None) -> tuple[list[Record], list[Record]]:
        """The records with a time of whole networks that pass `where`, and those of all layers; tables have none.

        Args:
            reference_ms: pace that times are brought to (`latency.profiling.normalise`); by default the usual one of
                each file.
        """
        networks: list[Record] = []
        layers: list[Record] = []
        for records in self.records:
            for record in normalise_records(records, reference_ms):
                if record.ok and record.kind == "layer":
                    layers.append(record)
                elif record.ok and record.wall_ms is not None and network_passes(record, self.wanted):
                    networks.append(record)
        return networks, layers

    def device(self, samples: Sequence[Sample]) -> dict[str, str]:
        """Name, GPU, framework, driver and kernels' origin of the samples' device, for the metadata of a predictor."""
        sample = samples[0]
        driver = str(self.records[-1][0].device.get("driver", "")) if sample.framework == OWN and self.records else ""
        return {**about_device(samples), "driver": driver}


def _say_marks(path: Path, records: Sequence[Record]) -> None:
    """Say how many times are not the device's usual ones, and what is done about them."""
    counts = Counter(mark for record in records if record.ok for mark in record.marks)
    if counts:
        said = ", ".join(f"{count} {mark}" for mark, count in counts.most_common())
        marked = sum(bool(record.marks) for record in records if record.ok)
        log.warning(
            "%s: %d of %d times are of a device that was not as usual (%s); they count as ratios to the reference "
            "kernel beside them; --where marks=none leaves them out",
            path, marked, sum(record.ok for record in records), said,
        )  # fmt: skip


def parse_where(texts: Iterable[str]) -> dict[str, list[str]]:
    """COLUMN=VALUE texts as column -> values. Raises UsageError for a text of another form."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--where {text!r} is not COLUMN=VALUE, such as device=s10")
        wanted.setdefault(name, []).append(value)
    return wanted


def format_of(path: Path) -> DataFormat:
    """The format of a file of measurements. Raises UsageError where it cannot be read, is empty or is not known."""
    data_format = recognise(path, read_head(path, HEAD_BYTES))
    named = path.name.removesuffix(".gz").endswith(".csv")
    return DataFormat.TABLE if named and data_format is DataFormat.RECORDS else data_format
