"""Replicas: chunks, padding, devices, traces."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import sweep

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
    """Three simulated devices against one, in processes of their own: the number is fixed at start."""
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
        for n in ("1", "3")
    ]
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-6)
