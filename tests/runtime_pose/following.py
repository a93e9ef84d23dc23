"""The runtime's tracker and smoother, given people that no maps were decoded to."""

import ctypes
from dataclasses import astuple

import numpy as np

from benchmarks.runtime_pose import _Error
from models.pose.person import Person
from models.pose.skeleton import PARTS

#: fp_body
BODY = np.dtype(
    [
        ("x", "f8", len(PARTS)),
        ("y", "f8", len(PARTS)),
        ("scores", "f8", len(PARTS)),
        ("score", "f8"),
        ("identity", "i8"),
    ]
)


class _Space(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


class _Bodies(ctypes.Structure):
    _fields_ = (("spaces", _Space * 5), ("count", ctypes.c_uint32))


class _TrackSettings(ctypes.Structure):
    _fields_ = (("similar", ctypes.c_double), *((name, ctypes.c_uint32) for name in ("a", "b", "c", "d")))


class _SmoothingSettings(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_double) for name in ("freq", "min_cutoff", "beta", "derivative_cutoff", "forget"))


class RuntimeFollower:
    """An fp_tracker and an fp_smoother, zeros at first."""

    def __init__(self, library, track_settings, smoothing_settings, forget_secs=2.0, scale=1.0):
        self.library, self.scale = library, scale
        self.tracker, self.smoother = ctypes.create_string_buffer(512), ctypes.create_string_buffer(128)
        self.track_settings = _TrackSettings(*astuple(track_settings))
        self.smoothing_settings = _SmoothingSettings(*astuple(smoothing_settings), forget_secs)

    def __del__(self):
        self.library.calls.fp_tracker_free(self.tracker)
        self.library.calls.fp_smoother_free(self.smoother)

    def __call__(self, people, secs):
        """The same people: (with identities, and smoothed as well), in float64."""
        records = np.zeros(max(1, len(people)), BODY)
        for record, person in zip(records, people, strict=False):
            record["x"], record["y"], record["scores"] = person.keypoints.T
            record["score"] = person.score
        spaces = (_Space * 5)(_Space(records.ctypes.data, records.nbytes))
        bodies, error = _Bodies(spaces, len(people)), _Error()
        status = self.library.calls.fp_tracker_update(
            self.tracker,
            ctypes.byref(self.track_settings),
            ctypes.byref(bodies),
            ctypes.c_double(secs),
            ctypes.byref(error),
        )
        self.library.checked(status, error)
        tracked = [_person(record) for record in records[: len(people)]]
        status = self.library.calls.fp_smooth(
            self.smoother,
            ctypes.byref(self.smoothing_settings),
            ctypes.c_double(self.scale),
            ctypes.byref(bodies),
            ctypes.c_double(secs),
            ctypes.byref(error),
        )
        self.library.checked(status, error)
        return tracked, [_person(record) for record in records[: len(people)]]


def _person(record):
    keypoints = np.column_stack([record["x"], record["y"], record["scores"]])
    # `identity` is int32 in a record that ends at a multiple of 8; what is behind it is not written.
    return Person(keypoints, float(record["score"]), int(record["identity"]) & 0xFFFFFFFF or None)
