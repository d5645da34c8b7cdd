"""Replicas: seeds, splits and hyper-parameters on one leading axis, in one compiled program on all devices."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

# Replicas that one device carries through a program side by side. Fewer leave the cost of launching small operations
# unshared, more push the state out of the cache: 8 was the fastest of 1, 8, 16 and all on a two-core CPU.
BATCH_SIZE = 8


def stack(tables: Sequence[np.ndarray], *, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Tables of different length as one padded array [r, n, d] and its mask [r, n], so that they share one program.

    ``length`` pads further than the longest table needs, to the shape of a program that is already compiled.

    >>> import numpy as np
    >>> x, mask = stack([np.ones((2, 3)), np.ones((4, 3))])
    >>> x.shape, mask.sum(axis=1).tolist()
    ((2, 4, 3), [2, 4])
    """
    longest = max(len(table) for table in tables)
    if length is not None and length < longest:
        raise ValueError(f"length: expected at least {longest} (the longest table), got {length}; raise it")
    longest = length or longest
    mask = np.array([np.arange(longest) < len(table) for table in tables])
    x = np.stack([np.concatenate([t, np.repeat(t[:1], longest - len(t), axis=0)]) for t in tables])
    return x, mask


@partial(jax.jit, static_argnames=("function", "static", "batch_size", "mesh"))
def _run(args, function, static, batch_size, mesh):
    def on_one_device(args):
        return jax.lax.map(lambda one: function(*one, *static), args, batch_size=batch_size)

    spec = PartitionSpec("replica")
    return jax.shard_map(on_one_device, mesh=mesh, in_specs=(spec,), out_specs=spec, check_vma=False)(args)


def replicate(function: Callable, *args, static: tuple = (), progress: Callable[[int, int], object] | None = None):
    """``function(*args[i], *static)`` for every replica i of the leading axis, over all devices.

    The replica axis is cut into chunks of one compiled shape; ``progress(done, total)`` is called after each. The last
    chunk is filled up by repeating its last replica, which is dropped again. A new value of any argument compiles
    nothing; a new ``function`` object does, so keep it.

    Args:
        function: pure; its outputs are arrays or trees of arrays.
        args: trees of arrays whose leading axis is the replica axis.
        static: hashable values handed over as they are.
        progress: called with the number of finished replicas and their total.

    >>> import jax.numpy as jnp
    >>> replicate(jnp.sum, jnp.arange(6.0).reshape(3, 2)).tolist()
    [1.0, 5.0, 9.0]
    """
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(args)}
    if len(lengths) != 1:
        raise ValueError(f"args: expected one length of the replica axis, got {sorted(lengths)}; stack them alike")
    (total,) = lengths
    if total == 0:
        raise ValueError("args: expected at least one replica, got none; hand over at least one key")
    devices = len(jax.devices())
    per_device = math.ceil(total / devices)
    batch_size = math.ceil(per_device / math.ceil(per_device / BATCH_SIZE))
    chunk = batch_size * devices
    mesh = jax.make_mesh((devices,), ("replica",), axis_types=(AxisType.Auto,))
    outputs = []
    for start in range(0, total, chunk):
        rows = np.minimum(np.arange(start, start + chunk), total - 1)
        part = _run(jax.tree.map(lambda leaf, rows=rows: leaf[rows], args), function, static, batch_size, mesh)
        # To the host: slicing an array that lies on several devices would make them wait for one another.
        outputs.append(jax.device_get(part))
        if progress is not None:
            progress(min(start + chunk, total), total)
    return jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)[:total]), *outputs)
