"""Anything fitted, in one file, without pickle: arrays as safetensors, the tree around them as JSON in its header.

The types are those of this package, looked up by name; a file cannot name any other, and so runs no code.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

FORMAT, VERSION = "jaxcop", 1
"""The mark in the header, and the version of the layout; raise the version when an older reader would be misled."""

_PLAIN = (bool, int, float, str, type(None))


def save(path: str | Path, fitted: Any, *, overwrite: bool = False) -> None:
    """Write a tree of arrays, numbers, strings, tuples, lists, dicts and the NamedTuples and dataclasses of jaxcop.

    Typed random keys are kept. The file appears whole or not at all.

    Raises:
        ValueError: something in the tree is none of these, or ``path`` exists and ``overwrite`` is false; nothing is
            written then.

    >>> import tempfile
    >>> from jaxcop.copulas import clayton
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "fit", clayton.Params(jnp.float32(2.0)))
    ...     print(load(Path(folder) / "fit"))
    Params(theta=Array(2., dtype=float32))
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: expected a new file, got one that exists; pass overwrite=True or another path")
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_encode(fitted, arrays, "fitted"))
    header = {"format": FORMAT, "version": str(VERSION), "tree": tree, "sha256": _digest(tree, arrays)}
    write_whole(path, lambda temporary: Path(temporary).write_bytes(to_bytes(arrays, header)))


def load(path: str | Path) -> Any:
    """What :func:`save` wrote to ``path``; arrays come back as jax arrays or as numpy arrays, as they were.

    Raises:
        ValueError: the file is damaged, was written by something else or by a newer jaxcop, or holds 64-bit jax
            arrays while 64-bit is not enabled.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected a file written by jaxcop.checkpoint.save, found none; check the path"
        )
    try:
        with safe_open(path, "numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    except SafetensorError as error:
        raise ValueError(
            f"{path}: expected a checkpoint, got a damaged or foreign file ({error}); save again"
        ) from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path}: expected a checkpoint of jaxcop, got another program's safetensors; check the path")
    version = int(header["version"])
    if version > VERSION:
        raise ValueError(f"{path}: expected layout {VERSION} or older, got {version}; upgrade jaxcop")
    if _digest(header["tree"], arrays) != header["sha256"]:
        raise ValueError(f"{path}: expected the checksum in the header, got another; the file is damaged: save again")
    return _decode(json.loads(header["tree"]), arrays, path)


def write_whole(path: Path, write) -> None:
    """``write(temporary)`` beside ``path``, then one rename: a reader never sees half a file.

    Folders that were made for it are gone again if it fails.
    """
    made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Readable by whom the user's umask says, which ``tempfile`` does not ask.
        temporary = path.parent / f"{path.name}.{secrets.token_hex(8)}.part"
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o666))
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except BaseException:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


def _digest(tree: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(tree.encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _fields(node) -> dict | None:
    """Fields by name of a NamedTuple or dataclass of this package, else None."""
    if type(node).__module__.split(".")[0] != FORMAT:
        return None
    if hasattr(node, "_fields"):
        return node._asdict()
    return {f.name: getattr(node, f.name) for f in dataclasses.fields(node)} if dataclasses.is_dataclass(node) else None


def _encode(node, arrays: dict, where: str):
    """``node`` as JSON, one small object a node; its arrays go to ``arrays`` by number."""
    if isinstance(node, _PLAIN):
        return {"plain": node}
    if isinstance(node, jax.Array | np.ndarray | np.generic):
        kind, implementation = "numpy", None
        if isinstance(node, jax.Array):
            kind = "jax"
            if jnp.issubdtype(node.dtype, jax.dtypes.prng_key):
                implementation, node = str(jax.random.key_impl(node)), jax.random.key_data(node)
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(node).reshape(np.shape(node))
        return {"array": name, "kind": kind, "key": implementation}
    if (fields := _fields(node)) is not None:
        kind = f"{type(node).__module__}:{type(node).__qualname__}"
        return {"type": kind, "fields": {k: _encode(v, arrays, f"{where}.{k}") for k, v in fields.items()}}
    if type(node) in (tuple, list):
        return {type(node).__name__: [_encode(v, arrays, f"{where}[{i}]") for i, v in enumerate(node)]}
    if type(node) is dict and all(isinstance(k, str) for k in node):
        return {"dict": {k: _encode(v, arrays, f"{where}[{k!r}]") for k, v in node.items()}}
    if callable(node):
        raise ValueError(f"{where}: expected what a file can hold, got a Python function; write it as an expression")
    raise ValueError(
        f"{where}: expected arrays, numbers, strings, tuples, lists, dicts by name or a type of jaxcop, got "
        f"{type(node).__module__}.{type(node).__qualname__}; save its parts"
    )


def _decode(node, arrays: dict, path: Path):
    match node:
        case {"plain": value}:
            return value
        case {"array": name, "kind": kind, "key": implementation}:
            return _array(arrays[name], kind, implementation, path)
        case {"type": kind, "fields": fields}:
            values = {k: _decode(v, arrays, path) for k, v in fields.items()}
            return _build(kind, values, path)
        case {"tuple": values}:
            return tuple(_decode(v, arrays, path) for v in values)
        case {"list": values}:
            return [_decode(v, arrays, path) for v in values]
        case {"dict": values}:
            return {k: _decode(v, arrays, path) for k, v in values.items()}
    raise ValueError(f"{path}: expected a known kind of node, got {list(node)}; upgrade jaxcop")


def _array(array: np.ndarray, kind: str, implementation: str | None, path: Path):
    if kind == "numpy":
        return array
    if array.dtype.itemsize == 8 and not jax.config.read("jax_enable_x64") and array.dtype.kind != "c":
        raise ValueError(
            f"{path}: expected arrays of 32 bits, got {array.dtype}; it was saved with 64-bit enabled: "
            "jax.config.update('jax_enable_x64', True) before loading"
        )
    return (
        jnp.asarray(array)
        if implementation is None
        else jax.random.wrap_key_data(jnp.asarray(array), impl=implementation)
    )


def _build(kind: str, values: dict, path: Path):
    module, _, name = kind.partition(":")
    try:
        if module.split(".")[0] != FORMAT:
            raise ImportError(module)
        found = getattr(importlib.import_module(module), name)
        if not (isinstance(found, type) and (hasattr(found, "_fields") or dataclasses.is_dataclass(found))):
            raise TypeError(name)
        return found(**values)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a type that this jaxcop has, got {kind} with {sorted(values)} ({error}); "
            "use the version that wrote it"
        ) from None
