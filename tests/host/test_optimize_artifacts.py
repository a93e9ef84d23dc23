"""An optimization's artifacts on the device: sent once, sent again where file or connection changed."""

import os
from types import SimpleNamespace

import pytest

from codegen.building.build import build
from codegen.building.target import BuildTarget
from codegen.building.traced import trace_network
from latency.optimize.job import SPARSE_SO, Job, Lease
from tests.small_network import register_small


@pytest.fixture
def job(host, tmp_path):
    build(trace_network(register_small(), sizes=[(32, 32)]), BuildTarget.of(host)).write(tmp_path / SPARSE_SO)
    return Job(SimpleNamespace(folder=tmp_path, dtype="float32", host=None), Lease(session=host))


def test_artifact_is_sent_again_only_where_its_file_changed(job):
    first = job.artifact(SPARSE_SO)
    assert job.artifact(SPARSE_SO) is first
    path = job.path(SPARSE_SO)
    os.utime(path, ns=(1, 1))
    second = job.artifact(SPARSE_SO)
    assert second is not first
    job.unload()
    assert job.artifact(SPARSE_SO) is not second


def test_artifact_is_sent_again_over_a_new_connection(job, host):
    first = job.artifact(SPARSE_SO)
    host.reconnect()
    again = job.artifact(SPARSE_SO)
    assert again is not first
    assert again.manifest == first.manifest
