"""Damaged packages: the runtime's reader refuses each in one line that says what is wrong, and never over-reads."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests import sweep
from tests.runtime_c import compiling
from tests.runtime_c.tiny_package import (
    KINDS,
    RECORDS,
    doubling_package,
    function_package,
    header,
    join_sections,
)

OK, BAD_PACKAGE = 0, 2


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    return [*compiling.sanitizer_flags(tmp_path_factory.mktemp("probe")), "-O1"]


@pytest.fixture(scope="module")
def open_packages(tmp_path_factory, flags):
    """Opens packages, which are bytes, and answers (status, text) of each."""
    folder = tmp_path_factory.mktemp("open")
    files = [compiling.HERE / "open_packages.c", *compiling.sources("core")]
    program = compiling.compile_program(folder / "open_packages", files, flags)

    def run(packages: list[bytes]) -> list[tuple[int, str]]:
        paths = [folder / f"{number}.fpk" for number in range(len(packages))]
        for path, package in zip(paths, packages, strict=True):
            path.write_bytes(package)
        done = compiling.run_program(program, *paths)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.partition(" ") for line in done.stdout.splitlines()]
        assert len(lines) == len(packages)
        return [(int(status), text) for status, _, text in lines]

    return run


def damaged_records():
    """(what to set, the error) for fields that have one right value, or a range of them."""
    most = 0xFFFFFFFF
    name, text = "no name", "outside the strings"
    launch, argument = "a launch of layer doubled", "is no buffer and no constant"
    return [
        ("settings", 0, {"name": most}, name),
        ("settings", 0, {"name": 0}, name),
        ("settings", 0, {"text": most}, text),
        ("settings", 0, {"is_text": 2}, "setting decoder has a reserved field"),
        ("settings", 0, {"reserved": 1}, "setting decoder has a reserved field"),
        ("settings", 1, {"number": float("nan")}, "setting preprocessing.scale is not a finite number"),
        ("settings", 1, {"number": float("inf")}, "setting preprocessing.scale is not a finite number"),
        ("kernels", 0, {"name": most}, "kernel 0 has no name that a function can have"),
        ("kernels", 0, {"name": 0}, "kernel 0 has no name that a function can have"),
        ("kernels", 1, {"preamble": most}, "kernel sum has no text"),
        ("kernels", 1, {"preamble_bytes": most}, "kernel sum has no text"),
        ("kernels", 1, {"body": most}, "kernel sum has no text"),
        ("kernels", 1, {"body_bytes": most}, "kernel sum has no text"),
        ("kernels", 1, {"body_bytes": 0}, "kernel sum has no text"),
        ("kernels", 1, {"arguments": most}, "kernel sum takes 4294967295 arguments"),
        ("kernels", 1, {"arguments": 200}, "a launch of layer doubled has no 200 arguments"),
        ("constants", 0, {"offset": 2**64 - 64}, "constant 0 (constant0) does not lie"),
        ("constants", 0, {"offset": 4}, "constant 0 (constant0) does not lie"),
        ("constants", 0, {"bytes": 2**64 - 4}, "constant 0 (constant0) does not lie"),
        ("constants", 0, {"bytes": 0}, "constant 0 (constant0) does not lie"),
        ("constants", 0, {"bytes": 126}, "constant 0 (constant0) does not lie"),
        ("constants", 0, {"dtype": 6}, "no dtype that there is"),
        ("constants", 0, {"image_width": 9, "image_height": 1}, "is no image of 9 x 1 texels"),
        ("constants", 0, {"image_width": 8}, "is no image of 8 x 0 texels"),
        ("constants", 0, {"name": most}, "constant 0 (?) has no name"),
        ("entries", 0, {"channels": 0}, "entry 0 has no buffer for an input of 0 x 4 x 8"),
        ("entries", 0, {"height": most, "width": most, "channels": most}, "entry 0 has no buffer for an input"),
        ("entries", 0, {"height": 5}, "entry 0 has no buffer for an input of 1 x 5 x 8"),
        ("entries", 0, {"input": 3}, "entry 0 has no buffer for an input"),
        ("entries", 0, {"first_output": 1}, "outputs or steps of entry 0 are not there"),
        ("entries", 0, {"output_count": 2}, "outputs or steps of entry 0 are not there"),
        ("entries", 0, {"output_count": 0}, "entry 0 has no steps or no outputs"),
        ("entries", 0, {"first_buffer": most}, "buffers, outputs or steps of entry 0"),
        ("entries", 0, {"buffer_count": most}, "buffers, outputs or steps of entry 0"),
        ("entries", 0, {"first_step": 1}, "outputs or steps of entry 0 are not there"),
        ("entries", 0, {"step_count": 3}, "outputs or steps of entry 0 are not there"),
        ("entries", 0, {"step_count": 0}, "entry 0 has no steps or no outputs"),
        ("entries", 0, {"arena_bytes": 8192}, "buffer 2 of entry 0 does not lie, aligned, in its arena of 8192 bytes"),
        ("outputs", 0, {"name": most}, "output 0 of entry 0 has no name"),
        ("outputs", 0, {"buffer": 3}, "output 0 of entry 0 has no buffer for 1 x 4 x 8"),
        ("outputs", 0, {"channels": 2}, "output 0 of entry 0 has no buffer for 2 x 4 x 8"),
        ("outputs", 0, {"height": 0}, "output 0 of entry 0 has no buffer for 1 x 0 x 8"),
        ("outputs", 0, {"width": most}, "output 0 of entry 0 has no buffer for 1 x 4 x 4294967295"),
        ("outputs", 0, {"reserved": 1}, "output 0 of entry 0 has no name"),
        ("buffers", 1, {"offset": 4100}, "buffer 1 of entry 0 does not lie, aligned"),
        ("buffers", 1, {"offset": 2**64 - 4096}, "buffer 1 of entry 0 does not lie"),
        ("buffers", 1, {"bytes": 2**64 - 1}, "buffer 1 of entry 0 does not lie"),
        ("buffers", 1, {"bytes": 0}, "buffer 1 of entry 0 does not lie"),
        ("buffers", 0, {"bytes": 4}, "entry 0 has no buffer for an input"),
        ("steps", 1, {"name": most}, "step 1 of entry 0 has no name"),
        ("steps", 1, {"kind": most}, "step 1 of entry 0 has no name"),
        ("steps", 1, {"first_launch": 4}, "the launches of layer biased are not there"),
        ("steps", 1, {"launch_count": most}, "the launches of layer biased are not there"),
        ("steps", 1, {"launch_count": 0}, "layer biased has no launches"),
        ("steps", 1, {"launch_count": 2}, "the launches of layer biased are not there, or another's"),
        ("steps", 1, {"first_spare": most}, "the launches of layer biased are not there"),
        ("steps", 1, {"spare_count": 5}, "the launches of layer biased are not there"),
        ("steps", 1, {"first_check": 5}, "the checks of layer biased are not there"),
        ("steps", 1, {"check_count": most}, "the checks of layer biased are not there"),
        ("launches", 0, {"kernel": 4}, f"{launch} has no kernel"),
        ("launches", 0, {"first_argument": most}, f"{launch} has no 2 arguments"),
        ("launches", 0, {"dimensions": 0}, f"{launch} has 0 dimensions"),
        ("launches", 0, {"dimensions": 4}, f"{launch} has 4 dimensions"),
        ("launches", 0, {"reserved": 1}, f"{launch} has 1 dimensions"),
        ("launches", 0, {"gx": 33}, f"{launch} has 33 work-items in groups of 4 along axis 0"),
        ("launches", 0, {"gx": 0}, f"{launch} has 0 work-items"),
        ("launches", 0, {"lx": 0}, f"{launch} has 32 work-items in groups of 0"),
        ("launches", 0, {"gy": 2}, f"{launch} has 2 work-items in groups of 1 along axis 1"),
        ("launches", 0, {"ly": 2}, f"{launch} has 1 work-items in groups of 2 along axis 1"),
        ("launches", 0, {"gz": 2, "lz": 2}, f"{launch} has 2 work-items in groups of 2 along axis 2"),
        ("arguments", 1, {"kind": 2}, f"argument 1 of {launch} {argument}"),
        ("arguments", 1, {"index": 3}, f"argument 1 of {launch} {argument}"),
        ("arguments", 1, {"kind": 1, "index": 1}, f"argument 1 of {launch} {argument}"),
        ("checks", 2, {"buffer": 3}, "check 2 of layer doubled is of no element"),
        ("checks", 2, {"dtype": 2}, "check 2 of layer doubled is of no element"),
        ("checks", 2, {"element": 32}, "check 2 of layer doubled is of no element"),
        ("checks", 2, {"element": 2**63}, "check 2 of layer doubled is of no element"),
        ("checks", 2, {"value": float("nan")}, "check 2 of layer doubled has a value that is not finite"),
        ("checks", 2, {"tolerance": -1}, "check 2 of layer doubled has a value that is not finite"),
    ]


def test_damaged_records_are_refused(open_packages):
    """The cases have every field of every record at least once."""
    cases = damaged_records()
    covered = {(section, field) for section, _, changes, _ in cases for field in changes}
    assert covered == {(section, field) for section, fields in RECORDS.items() for field, _ in fields} - {
        ("functions", field) for field, _ in RECORDS["functions"]
    }
    assert_refused(open_packages, doubling_package, cases)


def damaged_functions():
    """Likewise for a package of one function, which has no entry."""
    most = 0xFFFFFFFF
    missing, misplaced = (
        "launches of function four_times are not there",
        "of function four_times is no parameter, and not",
    )
    return [
        ("functions", 0, {"name": 0}, "function 0 has no name"),
        ("functions", 0, {"name": most}, "function 0 has no name"),
        ("functions", 0, {"parameter_count": 4}, missing),
        ("functions", 0, {"first_buffer": 1}, missing),
        ("functions", 0, {"buffer_count": most}, missing),
        ("functions", 0, {"buffer_count": 2}, "argument 1 of a launch of layer four_times"),
        ("functions", 0, {"first_launch": 1}, "launches of layer four_times are not there"),
        ("functions", 0, {"launch_count": 3}, "launches of layer four_times are not there"),
        ("functions", 0, {"launch_count": 0}, missing),
        ("functions", 0, {"arena_bytes": 16}, f"buffer 2 {misplaced}"),
        ("buffers", 0, {"offset": 4096}, f"buffer 0 {misplaced}"),
        ("buffers", 0, {"bytes": 0}, f"buffer 0 {misplaced}"),
        ("buffers", 2, {"offset": 64}, f"buffer 2 {misplaced}"),
        ("buffers", 2, {"bytes": 2**64 - 1}, f"buffer 2 {misplaced}"),
        ("launches", 1, {"gx": 0}, "a launch of layer four_times has 0 work-items"),
        ("arguments", 3, {"index": 3}, "argument 1 of a launch of layer four_times"),
    ]


def test_damaged_functions_are_refused(open_packages):
    cases = damaged_functions()
    covered = {field for section, _, changes, _ in cases if section == "functions" for field in changes}
    assert covered == {field for field, _ in RECORDS["functions"]}
    assert_refused(open_packages, function_package, cases)
    assert open_packages([function_package().to_bytes()]) == [(OK, "")]


def assert_refused(open_packages, make, cases):
    packages = [make() for _ in cases]
    for package, (section, number, changes, _) in zip(packages, cases, strict=True):
        assert package.records[section][number] != {**package.records[section][number], **changes}
        package.records[section][number].update(changes)
    answers = open_packages([package.to_bytes() for package in packages])
    for (section, number, changes, expected), (status, text) in zip(cases, answers, strict=True):
        assert status == BAD_PACKAGE, (section, number, changes)
        assert expected in text, (section, number, changes, text)


def test_whole_packages_open(open_packages):
    package = doubling_package()
    with_unknown = join_sections([*((n, package.section(kind)) for n, kind in enumerate(KINDS, 1)), (99, b"later")])
    image = doubling_package()
    image.constant(bytes(2 * 3 * 4 * 2), dtype=1, image=(2, 3))
    assert open_packages([package.to_bytes(), with_unknown, image.to_bytes()]) == [(OK, "")] * 3


def test_texts_are_looked_at(open_packages):
    def changed(**texts: bytes) -> bytes:
        package = doubling_package()
        for name, text in texts.items():
            setattr(package, name, text)
        return package.to_bytes()

    strings = doubling_package().strings
    twice = doubling_package()
    twice.add("settings", name=twice.string("decoder"), text=0, is_text=1)
    second_size = doubling_package()
    for name in ("buffers", "outputs", "steps"):
        second_size.records[name] *= 2
    second_size.records["entries"] *= 2
    answers = open_packages(
        [
            changed(strings=b""), changed(strings=strings[:-1]), changed(strings=b"x" + strings[1:]),
            changed(strings=strings + b"a\nb\0"), changed(manifest=b""), changed(manifest=b"{}"),
            changed(manifest=b"{}\0{}\0"), changed(sources=doubling_package().sources + b"\0"), twice.to_bytes(),
            second_size.to_bytes(),
        ]
    )  # fmt: skip
    expected = [
        "the package's strings do not begin and end with a zero byte", "the package's strings do not begin and end",
        "the package's strings do not begin and end", "strings have a control character (10)",
        "manifest is not one text", "manifest is not one text", "manifest is not one text",
        "sources have a zero byte", "setting decoder is there twice",
        "launches of layer doubled are not there, or another's",
    ]  # fmt: skip
    for (status, text), part in zip(answers, expected, strict=True):
        assert (status, part in text) == (BAD_PACKAGE, True), text


def test_damaged_outside_is_refused(open_packages):
    """Header and table, with checksums made right where the fault lies behind them."""
    whole = doubling_package().to_bytes()
    count = len(KINDS)
    table = bytearray(whole[32 : 32 + 32 * count])

    def with_table(position: int, code: str, value: int) -> bytes:
        changed = bytearray(table)
        struct.pack_into(code, changed, position, value)
        return header(count, len(whole), zlib.crc32(changed)) + bytes(changed) + whole[32 + 32 * count :]

    def with_header(*fields: int) -> bytes:
        return header(*fields) + whole[32:]

    sections = [(number, doubling_package().section(kind)) for number, kind in enumerate(KINDS, 1)]
    weights = 32 * KINDS.index("weights")
    cases = [
        (b"", "fewer than its header has"),
        (whole[:31], "fewer than its header has"),
        (b"x" + whole[1:], "this is no fleetpose package"),
        (whole.replace(b"\r\n", b"\n", 1), "this is no fleetpose package"),
        (with_header(count, len(whole), zlib.crc32(table), 2), "version 2 of the format, this runtime reads version 1"),
        (whole[:-1], "it is cut or damaged"),
        (whole + b"\0", "it is cut or damaged"),
        (with_header(65, len(whole), zlib.crc32(table)), "65 sections"),
        (header(14, 32, 0), "table of 14 sections does not fit"),
        (with_header(count, len(whole), 1), "checksum of the package's table"),
        (whole[:28] + b"\1" + whole[29:], "a reserved field of the package's header"),
        (join_sections(sections[:-1]), "the package has no section checks"),
        (join_sections([*sections, sections[0]]), "section strings is there twice"),
        (with_table(8, "<Q", 2**64 - 64), "section strings of"),
        (with_table(8, "<Q", 500), "section strings starts at byte 500, no multiple of 64"),
        (with_table(weights + 8, "<Q", 64), "section weights starts at byte 64, no multiple of 16384"),
        (with_table(16, "<Q", 2**64 - 1), "section strings of"),
        (with_table(24, "<Q", 1), "a reserved field of section strings"),
        (with_table(4, "<I", 1), "the checksum of section strings is wrong"),
        (join_sections([*sections[:2], (3, sections[2][1][:-1]), *sections[3:]]), "no possible number of records"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "the checksum of section checks is wrong"),
    ]
    for (status, text), (_, expected) in zip(open_packages([case for case, _ in cases]), cases, strict=True):
        assert (status, expected in text) == (BAD_PACKAGE, True), (expected, text)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("make", [doubling_package, function_package])
@sweep.part(4)
def test_mutated_packages_do_no_harm(mutate, tmp_path, make, seed):
    """10,000 mutations for each seed; all seeds in `make test-all`."""
    (tmp_path / "whole.fpk").write_bytes(make().to_bytes())
    done = compiling.run_program(mutate, tmp_path / "whole.fpk", seed, 10_000)
    assert done.returncode == 0, done.stdout + done.stderr
    opened = int(done.stdout.split()[2])
    assert 0 < opened < 9000, done.stdout


@pytest.fixture(scope="module")
def mutate(tmp_path_factory, flags):
    folder = tmp_path_factory.mktemp("mutate")
    files = [compiling.HERE / "mutate_package.c", *compiling.sources("core")]
    return compiling.compile_program(folder / "mutate_package", files, flags)
