"""Replicas: chunks, padding, devices, traces."""

import json
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import checkpoint, sweep

from tolerance import assert_close


def normalised(x, mask, power, offset):
    """A function of one replica that uses its mask, a number and a static value."""
    values = jnp.where(mask, x**power, 0)
    return {"sum": values.sum() + offset, "values": values}


def test_every_replica_gets_its_own_arguments():
    rng = np.random.default_rng(0)
    x, mask, power = rng.uniform(1, 2, (21, 4)), rng.uniform(size=(21, 4)) > 0.5, rng.uniform(size=21)
    calls = []
    result = sweep.replicate(
        normalised, x, mask, power, static=(3,), progress=lambda done, total: calls.append((done, total))
    )
    expected = np.where(mask, x ** power[:, None], 0)
    assert_close(result["values"], expected)
    assert_close(result["sum"], expected.sum(1) + 3)
    assert calls[-1] == (21, 21)
    assert len(calls) > 1  # more than one chunk


def test_keys_and_typed_trees_may_be_arguments():
    keys = jax.random.split(jax.random.key(0), 5)
    result = sweep.replicate(jax.random.normal, keys, static=((2,),))
    assert_close(result, np.stack([jax.random.normal(key, (2,)) for key in keys]))


def test_stack_pads_and_masks():
    tables = [np.arange(6.0).reshape(3, 2), np.ones((5, 2))]
    x, mask = sweep.stack(tables)
    assert x.shape == (2, 5, 2)
    assert mask.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert_close(x[0, :3], tables[0])
    assert np.isfinite(x).all()


def test_new_values_compile_nothing():
    traces = []

    def traced(x):
        traces.append(1)
        return x + 1

    for value in (0.0, 1.0, 2.0):
        sweep.replicate(traced, np.full((20, 2), value))
    assert len(traces) == 1


def test_bad_axes():
    with pytest.raises(ValueError, match="expected one length of the replica axis"):
        sweep.replicate(jnp.add, np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="at least one replica"):
        sweep.replicate(jnp.sum, np.ones((0, 2)))


def test_more_devices_give_the_same_numbers():
    """Eight simulated devices against one, in processes of their own: the number is fixed at start."""
    program = (
        "import sys, json, jax, numpy as np; jax.config.update('jax_num_cpu_devices', int(sys.argv[1]));"
        "from jaxcop import sweep; assert len(jax.devices()) == int(sys.argv[1]);"
        "f = lambda key, x: (jax.random.normal(key, (2,)) * x).sum();"
        "print(json.dumps(sweep.replicate(f, jax.random.split(jax.random.key(0), 10), np.arange(10.0)).tolist()))"
    )
    runs = [
        json.loads(
            subprocess.run([sys.executable, "-c", program, n], capture_output=True, text=True, check=True).stdout
        )
        for n in ("1", "8")
    ]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-6)


def test_a_kept_chunk_is_not_computed_again(tmp_path):
    calls = []

    def run(offset, first=0.0):  # a closure: the same name, another program
        def shifted(x):
            calls.append(1)
            return {"y": x + offset}

        return sweep.replicate(shifted, np.arange(20.0) + first, store=tmp_path)["y"]

    expected = np.arange(20.0) + 1
    assert_close(run(1.0), expected)
    (folder,) = tmp_path.iterdir()
    chunks = sorted(folder.iterdir())
    assert len(chunks) > 1
    # A run that was killed: the last chunk is missing, and another is marked to be recognised.
    chunks[-1].unlink()
    (leaf,) = checkpoint.load(chunks[0])
    checkpoint.save(chunks[0], [leaf + 100], overwrite=True)
    assert_close(run(1.0), expected + 100 * (np.arange(20) < len(leaf)))
    # another closure, other numbers
    assert_close(run(2.0), expected + 1)
    assert_close(run(1.0, 1.0), expected + 1)
    assert len(list(tmp_path.iterdir())) == 3
    chunks[0].write_bytes(b"half")
    with pytest.raises(ValueError, match="damaged"):
        run(1.0)


_KILLED = """
import os, signal, sys, jax, numpy as np
from jaxcop import sweep
kill = int(sys.argv[2])
def progress(done, total):
    if done >= kill:
        os.kill(os.getpid(), signal.SIGKILL)
draw = lambda key, x: jax.random.normal(key, (2,)) * x
keys = jax.random.split(jax.random.key(0), 30)
out = sweep.replicate(draw, keys, np.arange(30.0), store=sys.argv[1], progress=progress)
np.save(sys.argv[3], out)
"""


def test_a_killed_run_goes_on(tmp_path):
    def run(kill, store, name="out"):
        command = [sys.executable, "-c", _KILLED, str(tmp_path / store), str(kill), str(tmp_path / f"{name}.npy")]
        return subprocess.run(command, check=False, capture_output=True).returncode

    assert run(10, "killed") == -9
    assert not (tmp_path / "out.npy").exists()
    assert run(99, "killed") == 0
    assert run(99, "whole", "whole") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.load(tmp_path / "whole.npy"))


_PROCESS = """
import sys, jax, numpy as np
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
from jaxcop import sweep
steps = []
draw = lambda key, x: {"y": jax.random.normal(key, (2,)) * x}
keys = jax.random.split(jax.random.key(0), 37)
out = sweep.replicate(draw, keys, np.arange(37.0), progress=lambda done, total: steps.append(done))
np.save(sys.argv[3] + sys.argv[2], out["y"])
assert jax.process_count() == 2 and steps[-1] == 37, steps
"""


def test_two_processes_share_the_replicas(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "-c", _PROCESS, address]
    runs = [
        subprocess.Popen([*command, index, str(tmp_path / "out")], stderr=subprocess.PIPE, text=True) for index in "01"
    ]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
    with jax.enable_x64(False):
        keys = jax.random.split(jax.random.key(0), 37)
        expected = [jax.random.normal(key, (2,)) * i for i, key in enumerate(keys)]
    for index in "01":
        np.testing.assert_allclose(np.load(tmp_path / f"out{index}.npy"), expected, rtol=1e-6)
