"""What every metric does with its tables: eager checks, scales of the reference rows, maps over replicas and rows.

Inside ``jit`` and ``vmap`` only shapes are checked, since nothing that depends on a value may raise there.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxcop import _checks
from jaxcop._numerics import concrete

MAX_PAIRS = 2**21  # distances held at once; in float64 they are 16 MiB, plus the few temporaries of one kernel


def rows(x, name: str, *, replicas: bool = False, allow_constant: bool = True, min_rows: int = 2):
    """Return ``x`` as a float array ``[n, d]`` (with ``replicas``: ``[*r, n, d]``), or say what is wrong with it."""
    host = concrete(x)
    shape = np.shape(x)
    if len(shape) < 2 or (len(shape) > 2 and not replicas):
        wanted = "(*replicas, rows, columns)" if replicas else "(rows, columns)"
        raise ValueError(f"{name}: expected shape {wanted}, got {shape}; reshape it, or use jax.vmap for more axes")
    if shape[-2] < min_rows or shape[-1] < 1 or 0 in shape:
        raise ValueError(f"{name}: expected at least {min_rows} rows and 1 column, got shape {shape}; add rows")
    if host is None:
        return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
    flat = _checks.table(host.reshape(-1, shape[-1]), name, allow_constant=allow_constant)
    return x if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating) else jnp.asarray(flat.reshape(shape))


def pair(real, synthetic, *, allow_constant: bool = True):
    """Return both tables in one dtype; only the real one has to vary, since a collapsed generator has to be scored."""
    real = rows(real, "real", allow_constant=allow_constant)
    synthetic = rows(synthetic, "synthetic", replicas=True)
    same_columns(real, synthetic, "synthetic")
    dtype = jnp.promote_types(real.dtype, synthetic.dtype)
    return real.astype(dtype), synthetic.astype(dtype)


def triple(real, synthetic, reference):
    """``pair`` and the rows that standardise: ``reference``, or the real ones where it is None."""
    real, synthetic = pair(real, synthetic, allow_constant=reference is not None)
    if reference is None:
        return real, synthetic, real
    reference = rows(reference, "reference", allow_constant=False)
    same_columns(real, reference, "reference")
    return real, synthetic, reference.astype(real.dtype)


def same_columns(real, other, name: str) -> None:
    if real.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"{name}: expected {real.shape[-1]} columns as in real, got {other.shape[-1]}; give both the same columns"
        )


def location_scale(reference):
    """Column means and standard deviations (ddof 0); a constant column, legal only inside jit, gets scale 1."""
    scale = reference.std(axis=0)
    return reference.mean(axis=0), jnp.where(scale > 0, scale, 1)


def over_replicas(one, synthetic):
    """Apply ``one`` to each table of ``[*r, m, d]``, one after the other, so that memory does not grow with r."""
    lead = synthetic.shape[:-2]
    values = jax.lax.map(one, synthetic.reshape(-1, *synthetic.shape[-2:]))
    return jax.tree.map(lambda value: value.reshape(lead + value.shape[1:]), values)


def over_rows(one, x, width: int):
    """Apply ``one(rows, index)`` to blocks of the rows of ``x``, of at most ``MAX_PAIRS / width`` rows each.

    ``one`` returns one value (or a pytree of them) per row; ``width`` is how many values it makes per row on the way.
    """
    num_rows = x.shape[0]
    size = max(1, min(num_rows, MAX_PAIRS // width))
    index = jnp.arange(num_rows)
    if size == num_rows:
        return one(x, index)
    blocks = -(-num_rows // size)
    # The index of a padding row is past every real one, and its value is cut off below.
    padded = jnp.pad(x, ((0, blocks * size - num_rows), (0, 0))).reshape(blocks, size, -1)
    index = jnp.arange(blocks * size).reshape(blocks, size)
    values = jax.lax.map(lambda block: one(*block), (padded, index))
    return jax.tree.map(lambda value: value.reshape(-1)[:num_rows], values)


def squared_distances(x, y, scale):
    """``[n, m]`` squared distances of the rows, columns divided by ``scale``, exactly 0 for equal rows only.

    The expansion in inner products would lose all digits of distances below sqrt(eps), which are those of a copy; and
    a compiler may contract (x - a) / s - (y - a) / s so that equal rows differ. Hence differences first.
    """
    return (((x[:, None, :] - y[None, :, :]) * (1 / scale)) ** 2).sum(axis=-1)
