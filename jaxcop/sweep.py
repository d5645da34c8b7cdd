"""Replicas: seeds, splits and hyper-parameters on one leading axis, in one compiled program on all devices."""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxcop import checkpoint

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


def replicate(
    function: Callable,
    *args: Any,
    static: tuple = (),
    progress: Callable[[int, int], object] | None = None,
    store: str | Path | None = None,
):
    """``function(*args[i], *static)`` for every replica i of the leading axis, over all devices of all processes.

    The replica axis is cut into chunks of one compiled shape; ``progress(done, total)`` is called after each. The last
    chunk is filled up by repeating its last replica, which is dropped again. A new value of any argument compiles
    nothing; a new ``function`` object does, so keep it.

    With ``store`` every finished chunk is written there, whole or not at all, and the same call finds it again: a run
    that was killed loses the chunk in flight. Another function, argument, number of devices or version is another call.

    After ``jax.distributed.initialize`` every process makes the same call, computes its share of the chunks on its own
    devices and returns all of them; only the results cross the network.

    Args:
        function: pure; its outputs are arrays or trees of arrays.
        args: trees of arrays whose leading axis is the replica axis.
        static: hashable values handed over as they are.
        progress: called with the number of finished replicas and their total.
        store: folder for finished chunks; processes on several machines must see the same one to use it again.

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
    devices, processes = jax.local_devices(), jax.process_count()
    share = math.ceil(total / (len(devices) * processes))
    batch_size = math.ceil(share / math.ceil(share / BATCH_SIZE))
    chunk = batch_size * len(devices)
    mesh = Mesh(np.array(devices), ("replica",), axis_types=(AxisType.Auto,))
    kept = None if store is None else _store(store, function, args, static, chunk)

    def compute(start):
        rows = np.minimum(np.arange(start, start + chunk), total - 1)
        part = _run(jax.tree.map(lambda leaf: leaf[rows], args), function, static, batch_size, mesh)
        # To the host: slicing an array that lies on several devices would make them wait for one another.
        return jax.device_get(part)

    # Every process has the same number of chunks: the last is repeated where they do not come out even.
    count = math.ceil(total / chunk)
    mine = np.minimum(np.arange(jax.process_index(), math.ceil(count / processes) * processes, processes), count - 1)
    outputs = []
    for position, index in enumerate(mine):
        start = int(index) * chunk
        outputs.append(compute(start) if kept is None else kept.chunk(start, compute))
        if progress is not None:
            progress(min((position + 1) * processes * chunk, total), total)
    if processes > 1:
        gathered = _of_every_process(jax.tree.map(lambda *leaves: np.stack(leaves), *outputs), processes)
        outputs = [jax.tree.map(lambda leaf, c=c: leaf[c % processes, c // processes], gathered) for c in range(count)]
    return jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)[:total]), *outputs)


def _of_every_process(tree, processes: int):
    """The arrays of every process on a new leading axis, on every process."""
    mesh = Mesh(np.array([jax.local_devices(process_index=i)[0] for i in range(processes)]), ("process",))
    split, whole = NamedSharding(mesh, PartitionSpec("process")), NamedSharding(mesh, PartitionSpec())
    arrays = jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(split, leaf[None]), tree)
    return jax.device_get(jax.jit(lambda arrays: arrays, out_shardings=whole)(arrays))


class _Store(NamedTuple):
    """Where the chunks of one call are kept, and the structure of what they hold."""

    folder: Path
    structure: Any

    def chunk(self, start: int, compute: Callable):
        """The chunk that was kept; else computed, and kept."""
        path = self.folder / f"{start:08d}"
        if path.exists():
            return jax.tree.unflatten(self.structure, checkpoint.load(path))
        part = compute(start)
        checkpoint.save(path, jax.tree.leaves(part), overwrite=True)
        return part


def _store(folder: str | Path, function: Callable, args, static: tuple, chunk: int) -> _Store:
    """A folder named by all that a chunk depends on: the program (traced, so that closures count) and its arguments."""
    one = jax.tree.map(lambda leaf: leaf[0], args)
    program, shape = jax.make_jaxpr(lambda one: function(*one, *static), return_shape=True)(one)
    # Addresses of functions differ from process to process.
    text = re.sub(r" at 0x[0-9a-f]+", "", f"{program} {chunk} {jax.__version__}")
    digest = hashlib.sha256(text.encode())
    for leaf in (*program.consts, *jax.tree.leaves(args)):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        values = np.ascontiguousarray(jax.random.key_data(leaf) if is_key else leaf)
        digest.update(f"{values.shape}{values.dtype}".encode() + values.tobytes())
    return _Store(Path(folder) / digest.hexdigest()[:32], jax.tree.structure(shape))
