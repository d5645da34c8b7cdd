"""Eager checks of what users hand over: each error says what was expected, what came, and the remedy.

Nothing here runs on traced values: inside ``jit`` numerical failure is a returned flag, not an exception.
"""

import numpy as np


def table(x, name: str = "x", *, min_rows: int = 2, allow_constant: bool = False) -> np.ndarray:
    """Return ``x`` as a two-dimensional array of finite floats, or say what is wrong with it.

    float32 stays float32, everything else numeric becomes float64 (the dtype that jax then uses follows its own
    configuration).
    """
    try:
        array = np.asarray(x)
        array = array if array.dtype == np.float32 else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected numbers only, got values that are not ({error}); encode or drop the text columns"
        ) from error
    if array.ndim != 2:
        raise ValueError(f"{name}: expected shape (rows, columns), got {array.shape}; reshape it to two dimensions")
    if array.shape[0] < min_rows:
        raise ValueError(f"{name}: expected at least {min_rows} rows, got {array.shape[0]}; add rows")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=0))
    if bad.size:
        raise ValueError(
            f"{name}: expected finite values, got NaN or infinity in columns {bad.tolist()}; drop or impute those rows"
        )
    if not allow_constant:
        constant = np.flatnonzero(array.max(axis=0) == array.min(axis=0))
        if constant.size:
            raise ValueError(
                f"{name}: expected columns that vary, got a constant in columns {constant.tolist()}; drop them"
            )
    return array


def one_of(value, allowed, name: str):
    """Return ``value`` if it is among ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {sorted(allowed)}, got {value!r}; check the spelling")
    return value


def positive(value, name: str, *, allow_zero: bool = False):
    """Return the finite number ``value`` if it is above (or, with ``allow_zero``, at least) zero."""
    if not (np.isfinite(value) and (value > 0 or (allow_zero and value == 0))):
        bound = "at least 0" if allow_zero else "above 0"
        raise ValueError(f"{name}: expected a finite number {bound}, got {value!r}; choose another value")
    return value


def whole(value, name: str, *, least: int = 1) -> int:
    """Return the whole number ``value`` if it is at least ``least``."""
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}; choose another number")
    return value
