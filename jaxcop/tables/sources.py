"""Tables of several sources below one another: provenance, keys that are unique over all, and what are copies."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from jaxcop import _checks
from jaxcop.tables.frames import check_frame
from jaxcop.tables.harmonise import Finding, finding
from jaxcop.tables.splits import content_identity


def join_sources(
    sources: Mapping[str, pd.DataFrame],
    key: str,
    *,
    content: Sequence[str] | None = None,
    provenance: str = "dataset",
    uid: str = "uid",
    identity: str = "identity",
) -> tuple[pd.DataFrame, list[Finding]]:
    """Tables below one another, with the source of each row, a key that is unique over all, and what are copies.

    ``provenance`` holds the name of the source, ``uid`` source and key (``source/key``), ``identity`` the uid of the
    first row of equal ``content`` (default: all columns but ``key``), for :func:`jaxcop.tables.group_split`. Columns
    that a source does not have are missing in its rows. The findings count rows whose key is in another source with
    equal or with other content, and contents under more than one key. Raises ValueError for keys that are missing or
    repeat within a source, for columns that are numbers in one source and text in another, and for names in use.

    >>> one, two = pd.DataFrame({"id": ["a", "b"], "x": [1, 2]}), pd.DataFrame({"id": ["a"], "x": [1]})
    >>> table, findings = join_sources({"one": one, "two": two}, "id")
    >>> table["uid"].tolist(), table["identity"].tolist()
    (['one/a', 'one/b', 'two/a'], ['one/a', 'one/b', 'one/a'])
    """
    if not sources:
        raise ValueError("sources: expected at least one table, got none; name them")
    for source, frame in sources.items():
        check_frame(frame)
        _checks.one_of(key, frame.columns, f"key, source {source!r}")
        used = {provenance, uid, identity} & set(frame.columns)
        if used:
            raise ValueError(f"source {source!r}: expected the names {sorted(used)} to be free; rename the columns")
        keys = pd.Series(frame[key])
        if keys.isna().any() or keys.duplicated().any():
            raise ValueError(
                f"source {source!r}, column {key!r}: expected one key for each row, got missing or repeated ones; add "
                "a number to them"
            )
    names = list(dict.fromkeys(name for frame in sources.values() for name in frame.columns))
    parts, findings = [], []
    nullable = [_with_room_for_missing(name, sources) for name in names]
    for source, frame in sources.items():
        part = pd.DataFrame(index=frame.index)
        for name, dtype in zip(names, nullable, strict=True):
            if name in frame.columns:
                part[name] = frame[name] if dtype is None else frame[name].astype(dtype)
            else:
                part[name] = pd.Series(pd.NA if dtype in ("Int64", "boolean") else np.nan, frame.index, dtype=dtype)
                findings.append(Finding("join", str(source), f"has no column {name}, left missing", len(frame)))
        part.insert(0, provenance, str(source))
        findings.append(Finding("join", str(source), "rows", len(frame)))
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, uid, table[provenance] + "/" + table[key].astype(str))
    if table[uid].duplicated().any():
        raise ValueError(
            f"{uid}: expected source/key to be unique, got repeats; rename sources that have a '/' in them"
        )
    chosen = [name for name in names if name != key] if content is None else list(content)
    for name in chosen:
        _checks.one_of(name, names, "content")
    labels = content_identity(pd.DataFrame(table, columns=chosen))
    table[identity] = table[uid].to_numpy()[np.unique(labels, return_index=True)[1][labels]]
    return table, [*findings, *_copies(table, key, identity)]


def _with_room_for_missing(name: str, sources: Mapping[str, pd.DataFrame]) -> str | None:
    """The dtype that a column needs beside rows without it, None for its own; raises ValueError for unlike kinds."""
    dtypes = [frame[name].dtype for frame in sources.values() if name in frame.columns]
    kinds = {"boolean" if pd.api.types.is_bool_dtype(t) else "number" if pd.api.types.is_numeric_dtype(t) else "text"
             for t in dtypes}  # fmt: skip
    if len(kinds) > 1:
        raise ValueError(
            f"column {name!r}: expected one kind in all sources, got {sorted(kinds)}; convert it in one of them"
        )
    if len(dtypes) == len(sources):
        return None
    if kinds == {"text"}:
        return "object"
    whole = all(pd.api.types.is_integer_dtype(dtype) for dtype in dtypes)
    return "boolean" if kinds == {"boolean"} else "Int64" if whole else "float64"


def _copies(table: pd.DataFrame, key: str, identity: str) -> list[Finding]:
    def differ(by: str, other: str) -> np.ndarray:
        return pd.Series(table.groupby(by, sort=False)[other].transform("nunique")).to_numpy() > 1

    repeated, unlike = table[key].duplicated(keep=False).to_numpy(), differ(key, identity)
    return [
        finding("join", key, "in another source, equal content", table, repeated & ~unlike),
        finding("join", key, "in another source, other content", table, unlike),
        finding("join", key, "equal content under another key", table, differ(identity, key)),
        finding("join", identity, "first of its content", table, ~table[identity].duplicated().to_numpy()),
    ]
