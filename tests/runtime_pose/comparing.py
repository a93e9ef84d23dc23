"""People of the runtime against Python's."""

import numpy as np

#: pixels; float32, in which the runtime hands people over, has steps of up to 0.0005 in pictures of 8192 pixels
TOLERANCE = 1e-3


def assert_same_people(expected, people, tolerance=TOLERANCE):
    """The same people in the same order, with the same keypoints, scores and identities."""
    assert len(people) == len(expected)
    for wanted, person in zip(expected, people, strict=True):
        np.testing.assert_array_equal(person.found, wanted.found)
        np.testing.assert_allclose(person.keypoints[:, :2], wanted.keypoints[:, :2], rtol=1e-6, atol=tolerance)
        np.testing.assert_allclose(person.keypoints[:, 2], wanted.keypoints[:, 2], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(person.score, wanted.score, rtol=1e-4, atol=1e-4)
        assert person.identity == wanted.identity
