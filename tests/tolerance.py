"""One tolerance policy: relative to the dtype of what was computed; a looser one carries its reason at the call."""

import numpy as np

RTOL = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-9}


def assert_close(actual, expected, *, rtol=None, atol=0.0, dtype=None, err_msg=""):
    """Compare at the tolerance of ``actual``'s dtype; shapes must agree."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shapes {actual.shape} and {expected.shape}"
    rtol = RTOL[np.dtype(dtype or actual.dtype)] if rtol is None else rtol
    np.testing.assert_allclose(
        actual.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol, err_msg=err_msg
    )
