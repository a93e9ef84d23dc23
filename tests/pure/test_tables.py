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
        (",0.5,0.4", "", "line 2: not 15 cells"),
    ],
)
def test_table_refuses_bad_cells(tmp_path, old, new, message):
    with pytest.raises(UsageError, match=message):
        Dataset.read([table(tmp_path, HEADER, ROW.replace(old, new, 1))]).samples()


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), (HEADER + "\n", "has no rows"), ("framework,device\na,b\n", "has no column 'op'")],
)
def test_table_refuses_bad_files(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        Dataset.read([path]).samples()


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
