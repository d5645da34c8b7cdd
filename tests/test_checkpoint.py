"""Checkpoints: everything comes back as it was, and a wrong file says what is wrong with it."""

import json
import os
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import checkpoint, margins, vae
from jaxcop.copulas import clayton, fit
from safetensors.numpy import save_file

from tolerance import assert_close

TREE = {
    "config": vae.Config(hidden=(8,), latent_dim=2, prior="gmm"),
    "params": clayton.Params(jnp.asarray(2.0)),
    "rows": [np.arange(6, dtype="float32").reshape(2, 3), np.float64(3.5)],
    "key": jax.random.split(jax.random.key(3), 2),
    "plain": (None, True, 7, 0.1, "naïve", ()),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_files_are_readable_by_whom_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        checkpoint.save(tmp_path / "fit", TREE)
    finally:
        os.umask(before)
    assert (tmp_path / "fit").stat().st_mode & 0o777 == 0o640


def assert_same(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if isinstance(b, jax.Array) and jnp.issubdtype(b.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


def test_what_was_saved_comes_back(tmp_path):
    checkpoint.save(tmp_path / "new" / "fit", TREE)
    got = checkpoint.load(tmp_path / "new" / "fit")
    assert_same(got, TREE)
    assert isinstance(got["rows"][0], np.ndarray)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fit"]


def test_a_fit_is_as_good_as_new(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    for name, fitted in (("copula", fit(x, "clayton", method="mpl")), ("margins", margins.fit(x))):
        checkpoint.save(tmp_path / name, fitted)
        assert_same(checkpoint.load(tmp_path / name), fitted)
    config = vae.Config(hidden=(4,), latent_dim=1, epochs=1, batch_size=40)
    trained = vae.fit(jax.random.key(0), x, config)
    checkpoint.save(tmp_path / "vae", (config, trained))
    config_back, trained_back = checkpoint.load(tmp_path / "vae")
    draw = [vae.sample(jax.random.key(1), t, c, (5, 2)) for t, c in ((trained, config), (trained_back, config_back))]
    np.testing.assert_array_equal(*draw)


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "fit"
    checkpoint.save(path, (1,))
    with pytest.raises(ValueError, match="overwrite=True"):
        checkpoint.save(path, (2,))
    assert checkpoint.load(path) == (1,)
    checkpoint.save(path, (2,), overwrite=True)
    assert checkpoint.load(path) == (2,)


def test_what_cannot_be_saved_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"fitted\['a'\]\[1\].*function"):
        checkpoint.save(tmp_path / "fit", {"a": (1, lambda: 0)})
    assert list(tmp_path.iterdir()) == []


def _with_header(path, **changes):
    """The same file with another header: eight bytes of its length, the JSON, the numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"].update(changes)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def _renamed(path, old, new):
    _with_header(path, tree=(tree := _tree(path).replace(old, new)), sha256=checkpoint._digest(tree, _arrays(path)))


def _tree(path):
    with checkpoint.safe_open(path, "numpy") as file:
        return file.metadata()["tree"]


def _arrays(path):
    with checkpoint.safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04 something else"), "damaged or foreign"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x7f"), "checksum"),
        (lambda path: save_file({"a": np.ones(2)}, path), "another program"),
        (lambda path: _with_header(path, version="99"), "upgrade jaxcop"),
        (lambda path: _renamed(path, "theta", "angle"), "version that wrote it"),
        (lambda path: _renamed(path, "jaxcop.copulas.clayton:Params", "os:system"), "version that wrote it"),
        (lambda path: _renamed(path, "jaxcop.copulas.clayton:Params", "jaxcop.copulas.clayton:sample"), "version that"),
    ],
    ids=["truncated", "foreign", "flipped", "other safetensors", "newer", "other fields", "not ours", "no type"],
)
def test_a_wrong_file_says_so(spoil, message, tmp_path):
    path = tmp_path / "fit"
    checkpoint.save(path, clayton.Params(jnp.asarray(2.0)))
    spoil(path)
    with pytest.raises(ValueError, match=message):
        checkpoint.load(path)


def test_precision_is_not_lost_in_silence(tmp_path):
    path = tmp_path / "fit"
    checkpoint.save(path, clayton.Params(jnp.asarray(2.0, "float64")))
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        checkpoint.load(path)
    assert_close(checkpoint.load(path).theta, 2.0)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="found none"):
        checkpoint.load(tmp_path / "missing")
