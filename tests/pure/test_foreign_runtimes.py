"""nn-Meter's kernel data, LiteRT's profiles, ncnn's timings and MetaSchedule's databases, found by their content."""

import gzip
import json
import logging

import pytest

from fleetpose.errors import UsageError
from latency.dataset.foreign.measured_on import MeasuredOn
from latency.dataset.foreign.recognising import DataFormat
from latency.dataset.read import Dataset, format_of
from latency.network_model.foreign_networks import read_networks
from tests.foreign_files import (
    CONFIGURATIONS,
    DATABASE,
    KERNEL_TABLE,
    LATENCIES,
    NCNN,
    NCNN_GPU,
    NCNN_PARAM,
    NETWORKS_ALONE,
    convolution_module,
    profile_table,
    profile_text,
    texture_line,
    tflite_model,
    trial_line,
    workload_line,
)
from tests.fuzz.readers import record_samples

MALI = MeasuredOn("Mali-G76 MP12", "s10")


def write(folder, **contents):
    paths = []
    for name, content in contents.items():
        paths.append(folder / name.replace("_dot_", "."))
        paths[-1].write_bytes(content)
    return paths


def read(paths, of=MALI, where=()):
    return Dataset.read(paths, where, False, of)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (texture_line(), DataFormat.AUTOTVM), (b"# comment\n" + texture_line(), DataFormat.AUTOTVM),
        (DATABASE[0], DataFormat.WORKLOADS), (DATABASE[1], DataFormat.TRIALS),
        (CONFIGURATIONS, DataFormat.KERNEL_DATA), (LATENCIES, DataFormat.KERNEL_DATA),
        (json.dumps(json.loads(LATENCIES)).encode(), DataFormat.KERNEL_DATA),
        (KERNEL_TABLE, DataFormat.KERNEL_TABLE), (profile_text(), DataFormat.PROFILE),
        (profile_table(), DataFormat.PROFILE), (tflite_model(), DataFormat.MODEL), (NCNN, DataFormat.NCNN),
        (NCNN_GPU, DataFormat.NCNN),
        (NCNN_PARAM, DataFormat.NCNN_MODEL),
        (NETWORKS_ALONE, DataFormat.NCNN), (b"framework,device\ntvm,s10\n", DataFormat.TABLE),
        (b'{"format": "fleetpose.record/1", "id": ""}\n', DataFormat.RECORDS),
    ],
)  # fmt: skip
def test_format_is_found_by_content_whatever_the_name(tmp_path, content, expected):
    for name in ("data", "data.log", "data.txt"):
        (tmp_path / name).write_bytes(content)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
        assert format_of(tmp_path / name) is format_of(tmp_path / f"{name}.gz") is expected


def test_gzipped_table_and_records_are_read(tmp_path):
    header = "framework,device,gpu,op,cin,cout,h_in,h_out,k,stride,groups,ms_median\n"
    table = f"{header}tflite,s10,Mali-G76 MP12,conv,64,128,56,28,3,2,1,0.5\n".encode()
    (packed,) = write(tmp_path, t_dot_csv_dot_gz=gzip.compress(table))
    (sample,) = read([packed]).samples()
    assert (sample.ms, sample.layer.out_shape) == (0.5, (128, 28, 28))
    plain, packed = write(tmp_path, r_dot_jsonl=record_samples()[0], r_dot_gz=gzip.compress(record_samples()[0]))
    assert read([packed]).records == read([plain]).records


def test_gzipped_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("latency.dataset.content.MOST_BYTES", 1 << 20)
    (path,) = write(tmp_path, t_dot_gz=gzip.compress(bytes((1 << 20) + 1)))
    with pytest.raises(UsageError, match=r"t\.gz unpacks to more than 1 MiB, the most that is read"):
        read([path])


class TestKernelData:
    def test_configurations_and_latencies_go_together(self, tmp_path, caplog):
        paths = write(tmp_path, a_dot_json=CONFIGURATIONS, b_dot_json=LATENCIES)
        with caplog.at_level(logging.WARNING):
            first, second = read(paths).samples()
        assert (first.layer.macs, first.ms, first.kernel) == (212 * 176 * 13 * 13, 37.53, "pointwise")
        assert first.spread == pytest.approx(1.349 * 0.314 / 37.53)
        assert [step.kind for step in first.layer.epilogue] == ["relu"]
        assert (second.layer.macs, second.layer.groups, second.layer.padding) == (96 * 25 * 28 * 28, 96, (2, 2))
        assert (second.framework, second.device) == ("tflite", "s10")
        assert "1 of 3 measurements failed and have no time" in caplog.text
        assert "1: its latency is 0 or no number" in caplog.text
        assert "1: kernels of type maxpool" in caplog.text

    def test_one_file_with_both_is_enough(self, tmp_path):
        kernel = {"config": {"HW": 56, "CIN": 24, "COUT": 64, "KERNEL_SIZE": 3, "STRIDES": 2}, "latency": "2.5 +- 0.0"}
        (sample,) = read(write(tmp_path, a=json.dumps({"conv-bn-relu6": {"A": kernel}}).encode())).samples()
        assert sample.layer.macs == 24 * 64 * 9 * 28 * 28
        assert (sample.ms, sample.spread) == (2.5, None)

    def test_table_of_both(self, tmp_path):
        first, second = read(write(tmp_path, kernels_dot_csv=KERNEL_TABLE)).samples()
        assert (first.ms, second.ms) == (37.53, 4.25)
        assert second.layer.macs == 24 * 64 * 9 * 28 * 28

    def test_half_of_the_data_says_what_is_missing(self, tmp_path):
        configurations, latencies = write(tmp_path, a=CONFIGURATIONS, b=LATENCIES)
        with pytest.raises(UsageError, match="has configurations and no latencies; give results/profiled_"):
            read([configurations])
        with pytest.raises(UsageError, match="4 of 4 kernels have no configuration; give the JSON files"):
            read([latencies])

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b"37.53 +- 0.314", b"soon", "its latency is 'soon', not"),
            (b"37.53 +- 0.314", b"-1 +- 0", "its latency is '-1 \\+- 0'; one is"),
            (b"37.53 +- 0.314", b"1e5e5", "its latency is '1e5e5'"),
        ],
    )
    def test_latencies_that_are_none_are_refused(self, tmp_path, old, new, message):
        with pytest.raises(UsageError, match=message):
            read(write(tmp_path, a=CONFIGURATIONS, b=LATENCIES.replace(old, new)))


class TestProfiles:
    def test_kernels_of_the_gpu_are_matched_in_order(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            first, second, third = read(
                write(tmp_path, net_dot_txt=profile_text(), net_dot_tflite=tflite_model())
            ).samples()
        assert (first.layer.macs, first.ms) == (3 * 16 * 9 * 112 * 112, 0.272)
        assert (second.layer.macs, second.layer.groups, second.ms) == (16 * 9 * 112 * 112, 16, 0.365)
        assert (third.layer.macs, third.kernel, third.ms) == (160, "vector", 0.05)
        assert first.networks == ("net",)
        assert [[step.kind for step in sample.layer.epilogue] for sample in (first, second)] == [["relu"], ["relu6"]]

    def test_operators_of_the_cpu_are_matched_by_number(self, tmp_path):
        paths = write(tmp_path, p_dot_csv=profile_table(), net_dot_tflite=tflite_model())
        assert [sample.ms for sample in read(paths).samples()] == [2.5, 1.5, 0.25]

    def test_winograd_is_three_kernels(self, tmp_path):
        names = ("winograd_4x4_to_36", "convolution_winograd_4x4_6x6", "winograd_36_to_4x4 1 -> relu 2",
                 "depthwise_convolution 3", "fully_connected 4")  # fmt: skip
        times = (0.25, 0.5, 0.125, 0.0625, 1.0)
        rows = [
            (name, ms, f"Delegate/{name}:{place}") for place, (name, ms) in enumerate(zip(names, times, strict=True))
        ]
        paths = write(tmp_path, p=profile_text(rows), m=tflite_model())
        assert [sample.ms for sample in read(paths).samples()] == [0.875, pytest.approx(0.062, abs=0.001), 1.0]
        (path, _) = write(tmp_path, p=profile_text(rows[1:]), m=tflite_model())
        assert len(read(paths).samples()) == 2
        assert path == paths[0]

    def test_operator_that_is_printed_as_0_has_no_time(self, tmp_path, caplog):
        rows = [("CONV_2D", 0.0, "[first]:0"), ("FULLY_CONNECTED", 0.25, "[probabilities]:3")]
        paths = write(tmp_path, p=profile_table(rows), m=tflite_model())
        with caplog.at_level(logging.WARNING):
            assert [sample.ms for sample in read(paths).samples()] == [0.25]
        assert "1 of 2 measurements failed and have no time; they are left out (1: 0.000 ms is printed" in caplog.text

    def test_a_profile_needs_its_model(self, tmp_path):
        profile, model = write(tmp_path, p=profile_text(), m=tflite_model())
        with pytest.raises(
            UsageError, match=r"p is a profile of LiteRT's .*says no sizes of layers; give the \.tflite"
        ):
            read([profile])
        with pytest.raises(UsageError, match=r"m is a \.tflite model and has no times; give a profile of LiteRT's"):
            read([model])

    def test_a_profile_of_another_model_is_refused(self, tmp_path):
        rows = [("convolution_2d 0", 0.25, "Delegate/convolution_2d 0:0")]
        with pytest.raises(UsageError, match=r"p has 1 convolutions on the GPU, and .*m 3 that do not run on the CPU"):
            read(write(tmp_path, p=profile_text(rows), m=tflite_model()))
        rows = [("FULLY_CONNECTED", 0.25, "[a]:0")]
        with pytest.raises(UsageError, match=r"\[a\]:0 is FULLY_CONNECTED, and there CONV_2D; is .* its model"):
            read(write(tmp_path, p=profile_table(rows), m=tflite_model()))

    def test_profiles_of_several_models_are_told_by_name(self, tmp_path):
        contents = {"a_dot_txt": profile_text(), "b_dot_txt": profile_text(), "a_dot_tflite": tflite_model()}
        paths = write(tmp_path, **contents, b_dot_tflite=tflite_model())
        assert {name for sample in read(paths).samples() for name in sample.networks} == {"a", "b"}
        (tmp_path / "b.tflite").rename(tmp_path / "c.tflite")
        with pytest.raises(
            UsageError, match=r"0 of the files may be what it belongs to, .*name a profile as its model"
        ):
            read([*paths[:3], tmp_path / "c.tflite"])

    def test_network_is_the_whole_run(self, tmp_path):
        (network,) = read(write(tmp_path, p=profile_text(), net_dot_tflite=tflite_model())).foreign[0].networks
        assert (network.name, network.ms) == ("net", pytest.approx(0.9125))
        assert sum(network.kernels_ms) == pytest.approx(0.272 + 0.365 + 0.1 + 0.05)


class TestNcnn:
    def test_layers_are_read_with_their_networks(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            samples = read(write(tmp_path, log=NCNN), MeasuredOn()).samples()
        times = {(sample.layer.macs, sample.ms) for sample in samples}
        assert times == {(3 * 64 * 9 * 113 * 113, 1.25), (3 * 64 * 9 * 113 * 113, 1.35), (64 * 15 * 56 * 56, 0.5)}
        depthwise = next(sample for sample in samples if sample.layer.groups == 64)
        assert (depthwise.layer.kernel, depthwise.networks) == ((5, 3), ("squeezenet",))
        assert {(sample.device, sample.gpu, sample.dtype) for sample in samples} == {
            ("mali-g76", "Mali-G76", "float16")
        }
        for said in (
            "1: networks of 8-bit numbers",
            "1: it took so little that 0.00 is printed",
            "4: layers that are no convolutions",
        ):
            assert said in caplog.text

    def test_gpu_is_named_as_profiles_are_and_minus_one_is_the_cpu(self, tmp_path):
        (log,) = write(tmp_path, log=NCNN.replace(b"Mali-G76", b"Adreno (TM) 630"))
        assert {sample.gpu for sample in read([log], MeasuredOn()).samples()} == {"Adreno 630"}
        (log,) = write(tmp_path, log=NCNN.replace(b"gpu_device = 0", b"gpu_device = -1").replace(b"_int8", b"-int8"))
        samples = read([log], MeasuredOn()).samples()
        assert {(sample.device, sample.gpu, sample.dtype) for sample in samples} == {("cpu", "CPU", "float32")}

    def test_networks_have_the_times_of_their_layers(self, tmp_path):
        networks = {run.name: run for run in read(write(tmp_path, log=NCNN)).foreign[0].networks}
        assert sorted(networks["squeezenet"].kernels_ms) == pytest.approx([0.01, 0.3, 0.5, 1.3])
        assert networks["squeezenet"].written == 113 * 113 * 64 + 2 * 56 * 56 * 64
        assert set(networks) == {"squeezenet", "mobilenet"}

    def test_sizes_of_kernels_on_the_gpu_are_those_of_the_network(self, tmp_path, caplog):
        log, param = tmp_path / "log", tmp_path / "small.net.param"
        log.write_bytes(NCNN_GPU)
        param.write_bytes(NCNN_PARAM)
        with caplog.at_level(logging.WARNING):
            first, second, third = read([log, param]).samples()
        assert (first.layer.macs, first.ms) == (3 * 64 * 9 * 113 * 113, pytest.approx(1.2505))
        assert (second.layer.out_shape, second.layer.groups, second.layer.dilation) == ((64, 56, 56), 32, (2, 2))
        assert second.layer.macs == 64 * 2 * 15 * 56 * 56
        assert (third.layer.macs, third.ms) == (800, pytest.approx(0.25))
        assert "1 of 4 measurements failed and have no time; they are left out (1: it took so little" in caplog.text
        (network,) = read([log, param]).foreign[0].networks
        assert sum(network.kernels_ms) == pytest.approx(2.15617)
        assert network.written == 2 * 64 * 113**2 + 3 * 64 * 56**2 + (64 + 16 + 80) * 56**2 + 10

    def test_sizes_that_are_not_known_are_said(self, tmp_path, caplog):
        (log,) = write(tmp_path, log=NCNN_GPU)
        with (
            caplog.at_level(logging.WARNING),
            pytest.raises(UsageError, match="it has times of 1 whole networks"),
        ):
            read([log]).samples()
        assert "3: convolutions whose sizes are not printed, nor known from a .param file" in caplog.text
        (param,) = write(tmp_path, x_dot_param=NCNN_PARAM)
        with pytest.raises(UsageError, match=r"x\.param is a \.param file of ncnn and has no times"):
            read([param])

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b"3=2 4=0 5=1", b"3=0 4=0 5=1", "line 4: a stride of 0"),
            (b"7=32", b"7=7", "line 8: 7 groups do not divide 64 and 64 channels"),
            (b"0=16 1=1", b"0=16 1=99", "line 9: a kernel of 99, dilated by 1, does not fit into 56 positions"),
            (b"1 1 data c1", b"9 1 data c1", "line 4: it names 9 tensors, and should 10"),
            (b"0=227", b"0=1e99", "line 3: parameter 0 is"),
        ],
    )
    def test_damaged_param_files_are_refused(self, tmp_path, old, new, message):
        with pytest.raises(UsageError, match=message):
            read(write(tmp_path, log=NCNN_GPU, p=NCNN_PARAM.replace(old, new)))

    def test_whole_networks_alone_are_refused_with_what_they_are_for(self, tmp_path):
        paths = write(tmp_path, log=NETWORKS_ALONE)
        message = (
            r"no row has a time; it has times of 2 whole networks \(squeezenet, mobilenet\), .*evaluate --networks"
        )
        with pytest.raises(UsageError, match=message):
            read(paths, MeasuredOn()).samples()

    def test_whole_networks_are_read_beside_their_layers(self, tmp_path):
        (path,) = write(tmp_path, log=NETWORKS_ALONE)
        assert [(network.name, network.ms) for network in read_networks(path, {})] == [
            ("squeezenet", 6.91),
            ("mobilenet", 8.25),
        ]


class TestDatabases:
    def test_convolution_and_its_fastest_trial(self, tmp_path, caplog):
        faster = trial_line(0, [0.0005], [(1, 8, 14, 14), (16, 8, 3, 3), (1, 16, 7, 7)])
        paths = write(tmp_path, w_dot_json=DATABASE[0], r_dot_json=DATABASE[1] + faster)
        with caplog.at_level(logging.WARNING):
            (sample,) = Dataset.read(paths, (), True, MALI).samples()
        assert (sample.layer.macs, sample.layer.padding, sample.layer.stride) == (8 * 16 * 9 * 49, (1, 1), (2, 2))
        assert (sample.ms, sample.framework, sample.dtype) == (pytest.approx(0.5), "tvm", "float32")
        assert "1 of 3 measurements failed" in caplog.text
        (measurement, *_) = read(paths).foreign[0].measurements
        assert (measurement.schedule, measurement.config) == ("meta_schedule", {"0": "4x8"})

    def test_database_needs_both_files(self, tmp_path):
        workloads, records = write(tmp_path, w=DATABASE[0], r=DATABASE[1])
        with pytest.raises(UsageError, match=r"r is the tuning records of a MetaSchedule database, .*workload\.json"):
            read([records])
        with pytest.raises(UsageError, match="w is the workloads of a MetaSchedule database and has no times"):
            read([workloads])

    def test_workloads_that_are_no_convolution_are_counted(self, tmp_path, caplog):
        module = json.loads(convolution_module(8, 16, 14, 3, 1, 1))
        for node in module["nodes"]:
            if node["type"] == "tirx.IterVar":
                node["data"]["iter_type"] = 0
        other = workload_line(json.dumps(module).encode())
        trial = trial_line(1, [0.001], [(1, 8, 14, 14)])
        paths = write(tmp_path, w=DATABASE[0] + other, r=DATABASE[1] + trial)
        with caplog.at_level(logging.WARNING):
            assert len(read(paths).samples()) == 1
        assert "1: records of workloads that are no convolution" in caplog.text

    @pytest.mark.parametrize(
        ("workloads", "records", "message"),
        [
            (DATABASE[0].replace(b"A", b"B", 40), DATABASE[1], "w, line 1: "),
            (DATABASE[0], DATABASE[1].replace(b"[0,", b"[7,", 1), "r, line 1: it is of workload 7, and there are 1"),
            (DATABASE[0], DATABASE[1].replace(b"0.001", b"-1.0", 1), "r, line 1: a time of"),
            (DATABASE[0][:-30] + b'"]\n', DATABASE[1], "w, line 1: "),
        ],
    )
    def test_damaged_databases_are_refused(self, tmp_path, workloads, records, message):
        with pytest.raises(UsageError, match=message):
            read(write(tmp_path, w=workloads, r=records))
