"""The parts of a cross-validation: rows dealt out at random, or whole groups of rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from jaxcop import _checks


def group_labels(frame: pd.DataFrame, name: str) -> Shaped[np.ndarray, " n"]:
    """The column ``name`` as labels for ``folds``. Raises ValueError where there is none, or a label is missing."""
    _checks.one_of(name, tuple(map(str, frame.columns)), "group")
    missing = int(np.asarray(frame[name].isna()).sum())
    if missing:
        raise ValueError(f"group: expected a label in every row, got {missing} missing in {name!r}; fill them in")
    return np.asarray(frame[name].astype(str))


def folds(
    num_rows: int, num_folds: int, *, seed: int, groups: Shaped[np.ndarray, " n"] | Sequence | None = None
) -> list[tuple[Int[np.ndarray, " r"], Int[np.ndarray, " f"]]]:
    """(rows to learn, rows to score) for each of ``num_folds`` parts; rows of one of the ``groups`` stay together.

    Raises ValueError for fewer than 2 folds, more than there are rows or groups, and labels of another length.

    >>> parts = folds(5, 2, seed=0, groups=["p", "p", "q", "r", "r"])
    >>> sorted(np.concatenate([fold for _, fold in parts]).tolist()), len(parts)
    ([0, 1, 2, 3, 4], 2)
    """
    _checks.whole(num_folds, "num_folds", least=2)
    if groups is not None and len(groups) != num_rows:
        raise ValueError(f"groups: expected one label per row ({num_rows}), got {len(groups)}; align them")
    units = num_rows if groups is None else len(np.unique(np.asarray(groups)))
    if num_folds > units:
        raise ValueError(f"num_folds: expected at most {units} (rows or groups), got {num_folds}; lower it")
    # scikit-learn takes half a second to import, which `jaxcop sample` need not wait for.
    from sklearn.model_selection import GroupKFold, KFold

    cut = (KFold if groups is None else GroupKFold)(num_folds, shuffle=True, random_state=seed)
    return list(cut.split(np.empty((num_rows, 1)), groups=groups))
