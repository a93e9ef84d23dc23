"""Tables of latencies: what is read, and what is refused in one clear line."""

import pytest

from fleetpose import cli
from fleetpose.errors import UsageError
from latency import evaluate
from latency.dataset.read import Dataset, parse_where

HEADER = "framework,device,gpu,op,cin,cout,h_in,h_out,k,stride,groups,ms_median,ms_min,ms_max,kernels"
ROW = "tflite,s10,Mali-G76 MP12,conv,64,128,56,28,3,2,1,0.5,0.4,0.6,convolution_2d_16_linked_:_add_17_linked_:_relu_"


def table(tmp_path, *lines: str):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_table_row_is_a_layer_with_its_time(tmp_path):
    (sample,) = Dataset.read([table(tmp_path, HEADER, ROW)]).samples()
    layer = sample.layer
    assert (layer.in_shapes[0], layer.out_shape) == ((64, 56, 56), (128, 28, 28))
    assert (layer.kernel, layer.stride, layer.padding, layer.groups) == ((3, 3), (2, 2), (1, 1), 1)
    assert [step.kind for step in layer.epilogue] == ["add", "relu"]
    assert (sample.ms, sample.kernel, sample.device) == (0.5, "strided", "s10")
    assert sample.spread == pytest.approx(0.4)


def test_table_where_chooses_rows(tmp_path):
    path = table(tmp_path, HEADER, ROW, ROW.replace("s10", "mi8se"))
    assert [sample.device for sample in Dataset.read([path], ["device=mi8se"]).samples()] == ["mi8se"]
    with pytest.raises(UsageError, match="times of 2 devices"):
        Dataset.read([path]).samples()
    with pytest.raises(UsageError, match="no row with a time passes --where device=a03s"):
        Dataset.read([path], ["device=a03s"]).samples()
    with pytest.raises(UsageError, match="did you mean 'device'"):
        Dataset.read([path], ["devise=s10"]).samples()
    with pytest.raises(UsageError, match="not COLUMN=VALUE"):
        parse_where(["s10"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.5,", ",nan,", "line 2: ms_median is 'nan', not milliseconds above zero"),
        (",0.5,", ",-1,", "ms_median is '-1'"),
        (",0.5,", ",0,", "ms_median is '0'"),
        (",0.5,", ",fast,", "ms_median is 'fast'"),
        (",64,", ",6.5,", "cin is '6.5', not a whole number above zero"),
        (",3,2,1,", ",3,2,5,", "5 groups do not divide 64 and 128 channels"),
        ("conv,64", "cnov,64", "did you mean 'conv'"),
        (",0.5,0.4", "", "line 2: not 15 cells, as the header has, but 13"),
        (",64,", ",inf,", "line 2: cin is 'inf', not a whole number above zero, 16777216 at most"),
        (",64,", ",-inf,", "cin is '-inf', not a whole number above zero"),
        (",64,", ",nan,", "cin is 'nan', not a whole number above zero"),
        (",64,", ",1e300,", "cin is '1e300', not a whole number above zero, 16777216 at most"),
        (",64,", ",1_000,", "cin is '1_000'"),
        (",64,", f",{'9' * 900},", "cin is '9{79}, not"),
        (",64,128,", ",16777216,16777216,", r"line 2: a layer of \de\+\d\d multiply-adds; is a column in another unit"),
        (",0.5,", ",1e300,", "ms_median is '1e300', not milliseconds above zero, 1e-06 to 1e\\+09"),
        (",0.5,", ",1e-320,", "ms_median is '1e-320', not milliseconds above zero, 1e-06 to"),
        (",0.5,", ",inf,", "ms_median is 'inf', not milliseconds above zero"),
        ("conv,64", f"{'conv' * 200},64", "unknown op"),
        (",0.5,", f",{'5' * 1025},", "line 2: a cell does not end; is a quote left open"),
        (",0.5,", f",{'5' * 17000},", "line 2 is longer than 16384 letters; it begins 'tflite,s10"),
        (",0.5,", ",0\0.5,", "line 2 has a byte 0"),
        ("Mali-G76 MP12", '"Mali-G76', "line 2: no row of a table: .*; is a quote left open"),
    ],
)
def test_table_refuses_bad_cells(tmp_path, old, new, message):
    with pytest.raises(UsageError, match=message) as caught:
        Dataset.read([table(tmp_path, HEADER, ROW.replace(old, new, 1))]).samples()
    assert len(str(caught.value).replace(str(tmp_path), "")) < 600, "it quotes little of what is wrong"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        (HEADER + "\n", "has no rows"),
        ("framework,device\na,b\n", "has no column 'op'"),
        (f"{HEADER},cin\n{ROW},3\n", "has two columns 'cin'"),
        ((HEADER + "\n" + ROW).encode("utf-16"), "is no text: 'utf-8' codec"),
        ((HEADER + "\n" + ROW).encode() + b"\n\xe9", "is no CSV table: 'utf-8' codec"),
        (f'{HEADER}\n{ROW}\n"{ROW}\n' + f"{ROW}\n" * 40_000, "line 3: .*is a quote left open"),
        (f'{HEADER}\n{ROW}\n"{ROW}\n"{ROW}\n', "line 3: .*is a quote left open"),
        ("x" * 5_000_000, "line 1 is longer than 16384 letters; it begins 'xxx"),
    ],
)
def test_table_refuses_bad_files(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message):
        Dataset.read([path]).samples()


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_table_is_read_as_spreadsheets_write_it(tmp_path, newline):
    """With a mark of the byte order, any line's end, blank lines, quoted cells and a column without a name."""
    path = tmp_path / "t.csv"
    quoted = ",".join(f'"{cell}"' for cell in ROW.split(","))
    path.write_bytes(newline.join((f"\ufeff,{HEADER}", f"0,{quoted}", "", f"1,{ROW}", "")).encode())
    first, second = Dataset.read([path]).samples()
    assert first == second
    assert (first.ms, first.device) == (0.5, "s10")


def test_table_without_times_is_refused(tmp_path):
    path = table(tmp_path, HEADER.replace("ms_median", "seconds"), ROW)
    with pytest.raises(UsageError, match="has no column 'ms_median' or 'ms'"):
        Dataset.read([path]).samples()


def test_table_refuses_a_missing_file_and_flags_without_meaning(tmp_path, capsys):
    path = tmp_path / "none.csv"
    for flags in (
        ["--data", str(path)],
        ["--data", str(path), "--predictor", "p", "--train-size", "5"],
        ["--data", str(path), "--networks", "n.csv", "--base", "p"],
        ["--data", str(path), "--train-size", "0"],
    ):
        assert cli.run(evaluate.main, evaluate.make_parser(), flags) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert "cannot read" in lines[0]
    assert "--networks fits a model of its own" in lines[2]
