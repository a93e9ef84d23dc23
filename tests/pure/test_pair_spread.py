"""The spread of predicted ratios: fitted to what was held out, by kinds of pairs, and in the predictor's file."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fleetpose.errors import DataError
from latency.cost_model.fitting import FitOptions, fit_predictor
from latency.cost_model.intervals.pair_spread import LEAST_PAIRS, NEAR, OUTSIDE, PairSpread, kind_of
from latency.cost_model.predictor import Predictor
from latency.cost_model.ranges import Ranges
from latency.dataset.hardware import Hardware
from latency.dataset.pairs import kernel_pairs
from latency.dataset.sample import OWN, Sample
from models.plans.sparsity import Sparsity
from tests.pure.made_up_devices import device, layers

HALF, MOST = (Sparsity("columns", zeros, (4, 1)) for zeros in (0.5, 0.8))
#: what a layer's kernels are off by together, and each by itself
SHARED, OWN_NOISE = 0.15, 0.02


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Layers dense and under two sparsities; noise is the layer's for the most part, so that ratios are surer."""
    random, rows = np.random.default_rng(1), []
    for dense in device("made up", layers(80), noise=0.0):
        own, shared = replace(dense, framework=OWN, _keys={}), math.exp(random.normal(0, SHARED))
        for sparsity, kept in ((None, 1.0), (HALF, 0.6), (MOST, 0.3)):
            ms = dense.ms * kept * shared * math.exp(random.normal(0, OWN_NOISE))
            kernel = own.kernel if sparsity is None else "columns"
            rows.append(replace(own, sparsity=sparsity, kernel=kernel, ms=ms, _keys={}))
    return rows


@pytest.fixture(scope="module")
def predictor(samples) -> Predictor:
    return fit_predictor(samples, Hardware(), FitOptions(by="shape", wide=False)).predictor


def test_pairs_are_dense_and_sparse_of_a_layer_or_two_dense_classes(samples):
    pairs = kernel_pairs(samples)
    assert len(pairs) == 160
    assert all(samples[pair.first].sparsity is None for pair in pairs)
    assert all(samples[pair.first].layer == samples[pair.second].layer for pair in pairs)
    winograd = replace(samples[0], kernel="winograd4", _keys={})
    slower = replace(winograd, ms=2 * winograd.ms, schedule=(("m", 2.0),), _keys={})
    half = replace(samples[0], dtype="float16", _keys={})
    few = [samples[0], slower, winograd, half]
    assert [(few[pair.first].kernel, pair.second) for pair in kernel_pairs(few)] == [(samples[0].kernel, 2)]


def test_ratios_are_known_better_than_times_where_noise_is_shared(predictor, samples):
    dense, sparse = samples[0], samples[1]
    spread = predictor.pair_spread.of(dense.kernel, sparse.kernel)
    one, other = predictor.predict([dense, sparse])
    independent = math.log(one.speedup_over(other).high / one.speedup_over(other).times)
    assert spread.half_width < 0.7 * independent
    assert predictor.pair_spread.pairs == 160


def test_spread_holds_its_share_of_errors(predictor):
    """Of errors drawn anew: a factor of 1.4 to either side of the scale is what 160 pairs of 80 layers allow."""
    errors = np.random.default_rng(2).normal(0, OWN_NOISE * math.sqrt(2), 4000)
    width = predictor.pair_spread.of("direct", "columns").half_width
    assert np.mean(np.abs(errors) <= 1.4 * width) > 0.9


def test_kinds_with_few_layers_are_drawn_towards_all():
    """Errors of known sizes: one kind errs ten times as much; of two layers it is hardly believed, of forty it is."""
    rows = [replace(sample, framework=OWN, _keys={}) for sample in device("made up", layers(90))]

    def scales(wild: int) -> dict[str, float]:
        random, held, predicted = np.random.default_rng(0), [], []
        for number, dense in enumerate(rows):
            kernel, noise = ("wild", 0.5) if number < wild else ("tame", 0.05)
            held += [dense, replace(dense, kernel=kernel, sparsity=HALF, _keys={})]
            predicted += [dense.ms, dense.ms * math.exp(random.normal(0, noise))]
        spread = PairSpread.fit([replace(row, kernel="d", _keys={}) if row.sparsity is None else row for row in held],
                                np.array(predicted))  # fmt: skip
        return {kernel: spread.of(kernel, "d").scale / spread.scales[""] for kernel in ("wild", "tame", "never seen")}

    few, many = scales(2), scales(40)
    assert few["wild"] < 2.5
    assert many["wild"] > 2.5 * many["tame"]
    assert many["never seen"] == 1.0


def test_too_few_pairs_say_nothing(samples):
    few = samples[: 3 * (LEAST_PAIRS // 2 - 1)]
    assert PairSpread.fit(few, np.array([sample.ms for sample in few])) is None


def test_inputs_outside_what_was_fitted_on_are_known_less(predictor):
    spreads = predictor.pair_spread
    inside = spreads.of("direct", "columns")
    assert spreads.of("columns", "direct") == inside
    assert spreads.of("direct", "columns", 0.1) == inside.scaled(OUTSIDE)
    assert spreads.of("direct", "columns", NEAR + 0.01).probability_below(5.0) == 0.5


def test_ranges_say_how_far_outside_a_row_lies(samples):
    from latency.cost_model.feature_names import NAMES

    rows = np.ones((5, len(NAMES)))
    rows[:, NAMES.index("cin")] = (8, 2, 32, 16, 16)
    rows[4, NAMES.index("half")] = 0
    ranges = Ranges({"cin": (4.0, 16.0), "half": (1.0, 1.0)}, frozenset({"direct"}))
    distances = ranges.outside(rows, ["direct", "direct", "direct", "columns", "direct"])
    assert distances == pytest.approx([0, math.log(2), math.log(2), math.inf, math.inf])


def test_predictor_file_keeps_the_spread_and_is_read_without(predictor, tmp_path):
    path = tmp_path / "a.predictor"
    predictor.save(path)
    assert Predictor.load(path).pair_spread == predictor.pair_spread
    values = json.loads(path.read_text())
    del values["pair_spread"]
    path.write_text(json.dumps(values))
    assert Predictor.load(path).pair_spread is None


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part["scales"].pop(""),
        lambda part: part["scales"].update({kind_of("direct", "columns"): 0.0}),
        lambda part: part.update(freedom=1.0),
        lambda part: part.pop("freedom"),
    ],
)
def test_damaged_spread_is_refused(predictor, tmp_path, change):
    path = tmp_path / "a.predictor"
    predictor.save(path)
    values = json.loads(path.read_text())
    change(values["pair_spread"])
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="pair_spread"):
        Predictor.load(path)
