"""Times at a device's usual pace: what a reference kernel in the same rounds says is taken out."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from latency.profiling.normalise import normalise_record, normalise_records, usual_reference
from latency.profiling.reference_kernel import to_reference
from latency.records.record import RatioToDense
from tests.pure.test_records import failed, network, record


def test_pace_takes_a_slow_moment_out():
    calm = record(event_ms=1.0, wall_ms=1.2, event_iqr_ms=0.1, wall_iqr_ms=0.1, reference_ms=0.4, to_reference=3.0)
    busy = replace(calm, event_ms=2.0, wall_ms=2.4, event_iqr_ms=0.2, wall_iqr_ms=0.2, reference_ms=0.8)
    pace = usual_reference([calm, calm, busy])
    assert pace == 0.4
    for one in (calm, busy):
        found = normalise_record(one, pace)
        assert (found.event_ms, found.wall_ms, found.event_iqr_ms) == pytest.approx((1.0, 1.2, 0.1))


def test_a_variant_is_the_dense_one_times_their_ratio():
    """What it took itself was in another run, of another pace, which the reference kernel does not say exactly."""
    dense = record(sparsity="dense", wall_ms=2.0, event_ms=1.8, reference_ms=0.4, to_reference=5.0, group="g")
    ratio = RatioToDense(0.5, 0.48, 0.52)
    times = {"wall_ms": 1.4, "event_ms": 1.3, "reference_ms": 0.5, "to_reference": 2.7}
    sparse = record("columns:0.75:8x1", ratio_to_dense=ratio, group="g", **times)
    found = normalise_records([sparse, dense], 0.4)
    mean = (2.0 * 2.16) ** 0.5  # the dense one took 1.08 / 0.5 where the variant was timed
    assert found[1].wall_ms == pytest.approx(mean)
    assert (found[0].wall_ms, found[0].event_ms) == pytest.approx((mean / 2, 1.3 / 1.4 * mean / 2))
    assert normalise_records([sparse], 0.4) == [normalise_record(sparse, 0.4)]
    other = replace(dense, group="another")
    assert normalise_records([sparse, other], 0.4)[0] == normalise_record(sparse, 0.4)


def test_pace_leaves_records_without_a_reference():
    assert usual_reference([network()]) is None
    assert normalise_record(record(), None) == record()
    assert normalise_record(network(), 0.4) == network()
    assert normalise_record(failed(), 0.4) == failed()


def test_a_networks_time_has_no_events():
    found = normalise_record(network(reference_ms=0.8, to_reference=100.0), 0.4)
    assert (found.wall_ms, found.event_ms) == (pytest.approx(40.0), None)


def test_pace_leaves_out_what_only_delays():
    """Of three samples the two faster ones count."""
    one = SimpleNamespace(ok=True, wall_secs=(1.0, 40.0, 3.0))
    reference = SimpleNamespace(ok=True, wall_secs=(0.5, 1.5, 10.0))
    assert to_reference(one, reference) == 2.0
    assert to_reference(one, SimpleNamespace(ok=False, wall_secs=())) is None
