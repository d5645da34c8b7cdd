"""Train/test splits that know how much of the test set the training set has already seen.

A split is made over units: single rows (``row_split``) or whole groups of rows (``group_split``). Which rows are
copies of one another is a separate fact, the identity, and ``leaked_share`` reports it for any split.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

FORMAT = "jaxcop-splits-1"


class Split(NamedTuple):
    """Row positions of the two sides, in increasing order, and what produced them."""

    train: Int[np.ndarray, " n_train"]
    test: Int[np.ndarray, " n_test"]
    leaked_share: float
    protocol: str
    seed: int


def content_identity(frame: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """Label rows so that rows of equal content, and only those, share a label.

    Labels count up from 0 in order of first appearance; missing values equal one another.

    >>> content_identity(pd.DataFrame({"a": [1.0, 2.0, 1.0], "b": [5.0, 5.0, 5.0]}))
    array([0, 1, 0])
    """
    return frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()


def leaked_share(
    identity: Shaped[np.ndarray, " n"], train: Int[np.ndarray, " n_train"], test: Int[np.ndarray, " n_test"]
) -> float:
    """Share of the test rows whose identity is also among the training rows.

    >>> leaked_share(["a", "b", "a", "c"], [0, 1], [2, 3])
    0.5
    """
    codes = _codes(identity, "identity")
    return float(np.isin(codes[np.asarray(test)], codes[np.asarray(train)]).mean())


def row_split(
    identity: Shaped[np.ndarray, " n"],
    *,
    seed: int,
    test_size: float = 0.2,
    stratify: Shaped[np.ndarray, " n"] | None = None,
    bins: int = 4,
    protocol: str = "row",
) -> Split:
    """Split rows at random, copies or not; ``ceil(test_size * n)`` of them are tested.

    ``identity`` [n] says which rows are the same thing (``numpy.arange(n)`` if none are) and only enters
    ``leaked_share``. ``stratify`` [n] keeps its proportions on both sides: labels as they are, a numeric column of
    more than ``bins`` values by its quantile bins. Raises ValueError for a ``test_size`` outside (0, 1), an empty
    side and strata too small to be on both sides.

    >>> split = row_split(np.arange(10), seed=0)
    >>> len(split.train), len(split.test), split.leaked_share
    (8, 2, 0.0)
    """
    codes = _codes(identity, "identity")
    train, test = _sides(np.arange(codes.size), seed, test_size, stratify, bins, "rows")
    return Split(train, test, leaked_share(codes, train, test), protocol, int(seed))


def group_split(
    groups: Shaped[np.ndarray, " n"],
    *,
    seed: int,
    test_size: float = 0.2,
    stratify: Shaped[np.ndarray, " n"] | None = None,
    bins: int = 4,
    identity: Shaped[np.ndarray, " n"] | None = None,
    protocol: str = "group",
) -> Split:
    """Split whole groups at random: ``ceil(test_size * g)`` of the g groups are tested, none is on both sides.

    ``groups`` [n] names the group of each row; ``identity`` [n] (default: the groups) enters ``leaked_share``.
    ``stratify`` [n] is taken per group: the mean of a numeric column in quantile bins, else the set of labels that
    the group holds. Raises ValueError as ``row_split`` does, and for fewer than two groups.

    >>> split = group_split(["a", "a", "b", "c", "c"], seed=1)
    >>> sorted({"aabcc"[row] for row in split.train} & {"aabcc"[row] for row in split.test})
    []
    """
    units = _codes(groups, "groups")
    codes = units if identity is None else _codes(identity, "identity", units.size)
    if units.size and units.max() == 0:
        raise ValueError("groups: expected at least 2 groups, got 1; split by rows, or by another column")
    train, test = _sides(units, seed, test_size, stratify, bins, "groups")
    return Split(train, test, leaked_share(codes, train, test), protocol, int(seed))


def leave_one_group_out(
    groups: Shaped[np.ndarray, " n"],
    *,
    identity: Shaped[np.ndarray, " n"] | None = None,
    protocol: str = "leave_one_out",
) -> list[Split]:
    """One split per group, which is tested while all others train: a new site, a new machine, a new patient.

    ``identity`` as in ``group_split``; the ``seed`` of a split counts the groups in order of appearance. Raises
    ValueError for fewer than two groups and for labels that are missing.

    >>> [split.test.tolist() for split in leave_one_group_out(["p", "q", "p"])]
    [[0, 2], [1]]
    """
    units = _codes(groups, "groups")
    codes = units if identity is None else _codes(identity, "identity", units.size)
    if units.size and units.max() == 0:
        raise ValueError("groups: expected at least 2 groups, got 1; split by rows, or by another column")
    sides = [
        (np.flatnonzero(units != unit), np.flatnonzero(units == unit)) for unit in range(units.max(initial=-1) + 1)
    ]
    return [Split(*side, leaked_share(codes, *side), protocol, seed) for seed, side in enumerate(sides)]


def temporal_split(
    times: Shaped[np.ndarray, " n"],
    *,
    test_size: float = 0.2,
    identity: Shaped[np.ndarray, " n"] | None = None,
    protocol: str = "temporal",
) -> Split:
    """The latest rows are tested: what a model that is fitted today will meet tomorrow.

    ``times`` [n] is anything that sorts (dates, numbers). At least ``ceil(test_size * n)`` rows are tested; rows of
    equal time stay together, so there may be more. Raises ValueError for a ``test_size`` outside (0, 1), missing times,
    an empty side.

    >>> temporal_split([3, 1, 2, 2, 5], test_size=0.4).test
    array([0, 4])
    """
    order = pd.Series(np.asarray(times)).rank(method="dense").to_numpy() if len(np.shape(times)) == 1 else None
    codes = _codes(np.arange(np.size(times)) if identity is None else identity, "identity", np.size(times))
    if order is None or not np.isfinite(order).all():
        raise ValueError("times: expected one time for every row, got another shape or missing ones; fill them in")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size: expected a share between 0 and 1, got {test_size!r}; 0.2 is usual")
    first = np.sort(order)[-int(np.ceil(test_size * order.size))] if order.size else 0
    train, test = np.flatnonzero(order < first), np.flatnonzero(order >= first)
    if not (train.size and test.size):
        raise ValueError(
            f"times: expected rows before and after a cut, got {train.size} to train and {test.size} to test; use a "
            "finer time or another test_size"
        )
    return Split(train, test, leaked_share(codes, train, test), protocol, 0)


def save_splits(path: str | Path, splits: Sequence[Split], ids: Sequence, *, overwrite: bool = False) -> Path:
    """Write splits as JSON by row id, so that they hold whatever order the rows come in next time.

    ``ids`` names the rows that the positions count. Raises FileExistsError unless ``overwrite``, and ValueError for
    ids that are not unique or too few.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_splits(Path(folder) / "splits.json", [row_split(np.arange(5), seed=0)], list("abcde"))
    ...     [split.test.tolist() for split in load_splits(path, list("edcba"))] == [[2]]
    True
    """
    names = list(_positions_of(ids))
    for split in splits:
        last = max(split.train.max(), split.test.max())
        if last >= len(names):
            raise ValueError(f"ids: expected at least {last + 1} for these splits, got {len(names)}; pass every row's")
    document = {
        "format": FORMAT,
        "splits": [
            {
                "protocol": split.protocol,
                "seed": int(split.seed),
                "leaked_share": split.leaked_share,
                "train": [names[row] for row in split.train],
                "test": [names[row] for row in split.test],
            }
            for split in splits
        ],
    }
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: expected a new file, got one that exists; move it or pass overwrite=True")
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def load_splits(path: str | Path, ids: Sequence) -> list[Split]:
    """Read splits written by ``save_splits`` as positions in ``ids``.

    Raises ValueError for a file that is not such a file or is damaged, for ids that are not among ``ids``, and for a
    row named twice or on both sides.
    """
    positions = _positions_of(ids)
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise KeyError("format")
        return [_read(entry, positions) for entry in document["splits"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a file written by save_splits ({FORMAT}), got one that is foreign or damaged "
            f"({type(error).__name__}: {error}); write it again"
        ) from error


def _read(entry: dict[str, Any], positions: dict[str, int]) -> Split:
    sides = []
    for side in ("train", "test"):
        names = entry[side]
        if not (isinstance(names, list) and names):
            raise TypeError(f"{side} is not a list of ids")
        unknown = [name for name in names if name not in positions]
        if unknown:
            raise ValueError(
                f"{side}: expected ids of this table, got {len(unknown)} unknown ones such as {unknown[0]!r}; "
                "load the table that was split"
            )
        sides.append(np.array(sorted(positions[name] for name in names)))
    train, test = sides
    rows = np.concatenate([train, test])
    if np.unique(rows).size < rows.size:
        raise ValueError("split: expected each row once, got a row twice or in both train and test; write it again")
    share, protocol, seed = entry["leaked_share"], entry["protocol"], entry["seed"]
    if not (isinstance(share, int | float) and 0 <= share <= 1 and isinstance(protocol, str) and type(seed) is int):
        raise TypeError("leaked_share, protocol or seed has the wrong type")
    return Split(train, test, float(share), protocol, seed)


def _positions_of(ids: Sequence) -> dict[str, int]:
    positions = {str(name): row for row, name in enumerate(ids)}
    if len(positions) < len(ids):
        raise ValueError(f"ids: expected one unique id per row, got {len(ids) - len(positions)} repeated; add a key")
    return positions


def _codes(labels, name: str, size: int | None = None) -> np.ndarray:
    """Integer labels 0, 1, ... in order of appearance."""
    array = np.asarray(labels)
    if array.ndim != 1 or (size is not None and array.size != size):
        expected = "one label per row" if size is None else f"{size} labels, one per row"
        raise ValueError(f"{name}: expected {expected}, got shape {array.shape}; pass one column of the table")
    codes = pd.factorize(array)[0]
    if (codes < 0).any():
        raise ValueError(f"{name}: expected a label for every row, got {(codes < 0).sum()} missing; fill them in")
    return codes


def _sides(units, seed, test_size, stratify, bins, word):
    """Row positions of train and test when the units 0, 1, ... of the rows are dealt out at random."""
    if not 0 < test_size < 1:
        raise ValueError(f"test_size: expected a share between 0 and 1, got {test_size!r}; 0.2 is usual")
    count = int(units.max(initial=-1)) + 1
    # The same rounding as scikit-learn's, checked here so that the message can name the remedy.
    num_test = int(np.ceil(test_size * count))
    if min(num_test, count - num_test) < 1:
        raise ValueError(
            f"test_size: expected at least one of the {word} on each side, got {count - num_test} to train and "
            f"{num_test} to test of {count}; add {word} or choose another test_size"
        )
    strata = None if stratify is None else _strata(stratify, units, bins)
    if strata is not None:
        smallest, number = np.bincount(strata).min(), strata.max() + 1
        if smallest < 2 or min(num_test, count - num_test) < number:
            raise ValueError(
                f"stratify: expected at least 2 {word} in each stratum and no more strata than {word} on either side, "
                f"got {number} strata, the smallest of {smallest}, with {num_test} of {count} {word} to test; merge "
                "rare labels, use fewer bins, or leave stratify out"
            )
    # scikit-learn takes half a second to import, which `jaxcop sample` need not wait for.
    from sklearn.model_selection import train_test_split

    _, chosen = train_test_split(np.arange(count), test_size=test_size, random_state=seed, stratify=strata)
    tested = np.isin(units, chosen)
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def _strata(values, units, bins):
    """One stratum 0, 1, ... per unit."""
    _codes(values, "stratify", units.size)
    column = pd.Series(np.asarray(values))
    parts = column.groupby(units)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > bins:
        return pd.factorize(pd.qcut(parts.mean(), bins, labels=False, duplicates="drop"))[0]
    return pd.factorize(parts.agg(lambda part: " + ".join(sorted(map(str, set(part))))))[0]
