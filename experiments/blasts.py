"""The blast-fragmentation pool of 262 rows, rebuilt from the published tables and checked, and its splits.

The pool stacks three sources that share most of their blasts: 110 distinct blasts, of which 56 appear three times,
40 twice and 14 once. ``IDENTITY`` tells copies apart from new blasts; the splits are built on it.

Measurements: Hudaverdi, Kulatilake and Kuzu (2010), doi:10.1002/nag.957, as shipped by ``blastfrag``. The sources
hudaverdi_2012 and kulatilake_2010 are inferred from the statistics that the report prints (see ``KNOWN_GAPS``).

FI = XB / X50. Units: X50 (median fragment size) and XB (in-situ block size) in m, PF (powder factor) in kg/m3,
E (Young's modulus) in GPa; FI and the ratios of spacing S, bench height H, burden B, hole diameter D and stemming T
have none.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from blastfrag import datasets
from blastfrag.types import Blast
from jaxcop.tables import (
    Split,
    concatenate,
    content_identity,
    group_split,
    harmonise,
    join_sources,
    numeric_table,
    row_split,
)

TARGET = "FI"
FEATURES = ("X50", "PF", "H/B", "B/D", "T/B", "S/B")
CORE = ("FI", "X50", "PF", "H/B", "B/D", "T/B")
EIGHT = ("FI", "X50", "PF", "S/B", "H/B", "B/D", "T/B", "E")
LABELS = {"X50": "X50 (m)", "PF": "PF (kg/m³)", "XB": "XB (m)", "E": "E (GPa)"}
"""Axis labels of the columns that have a unit."""

IDENTITY = "identity"
"""Column that is equal on rows of equal content: the uid of the first of them."""

PROTOCOLS = ("row", "blast", "distinct", "site")
DEFAULT_PROTOCOL = "blast"

MEASURED = {
    "X50": "x50_m",
    "PF": "Pf_kg_m3",
    "H/B": "H_over_B",
    "B/D": "B_over_D",
    "T/B": "T_over_B",
    "S/B": "S_over_B",
    "E": "E_GPa",
    "XB": "XB_m",
}
FIELDS = {"blast_id": "blast_id", "site": "site", "group": "group", **MEASURED}
"""Columns of the pool and what blastfrag calls them."""

COLUMNS = ("uid", "dataset", "blast_id", "site", "group", TARGET, *MEASURED, IDENTITY)
SOURCES = {"hudaverdi_2010_full": 110, "hudaverdi_2012": 62, "kulatilake_2010": 90}
APPEARANCES = {3: 56, 2: 40, 1: 14}
POOL_DIGEST = "a4dc57bd5bc6df8d7a60454f633195d09b25a9812b6d83bf14beb4e9d7042a87"
"""SHA-256 of the pool as CSV with six decimals: the hold-out rows and the row order have no other witness."""

PRINTED = {
    "hudaverdi_2010_full": {
        ("FI", "median"): "3.30",
        ("FI", "mean"): "4.40",
        ("X50", "mean"): "0.299",
        ("X50", "median"): "0.230",
        ("PF", "mean"): "0.539",
        ("H/B", "mean"): "3.34",
    },
    "hudaverdi_2012": {
        ("FI", "median"): "5.11",
        ("FI", "mean"): "5.41",
        ("X50", "mean"): "0.205",
        ("X50", "median"): "0.170",
        ("PF", "mean"): "0.599",
        ("H/B", "mean"): "3.76",
    },
    "kulatilake_2010": {
        ("FI", "median"): "3.59",
        ("FI", "mean"): "4.73",
        ("X50", "mean"): "0.316",
        ("X50", "median"): "0.245",
        ("PF", "mean"): "0.537",
        ("H/B", "mean"): "3.46",
    },
    "lowest of the sources": {
        ("X50", "skew"): "1.21",
        ("PF", "skew"): "1.16",
        ("B/D", "mean"): "26.7",
        ("T/B", "skew"): "2.62",
    },
    "highest of the sources": {
        ("X50", "skew"): "2.57",
        ("PF", "skew"): "1.39",
        ("B/D", "mean"): "27.4",
        ("T/B", "skew"): "2.72",
    },
}
"""What the report prints (section 2.4), digit for digit; skewness is the bias-corrected one."""

KNOWN_GAPS = {
    ("hudaverdi_2012", "FI", "median"): 5.0979,
    ("hudaverdi_2012", "H/B", "mean"): 3.8545,
    ("kulatilake_2010", "PF", "mean"): 0.5347,
    ("lowest of the sources", "T/B", "skew"): 0.1132,
    ("highest of the sources", "PF", "skew"): 1.4222,
}
"""What the rebuilt pool has where it does not round to the printed figure: two sources are inferred."""


class Statistic(NamedTuple):
    """A printed statistic beside the one found in the pool; ``known_gap`` where they are known to differ."""

    source: str
    column: str
    name: str
    printed: str
    found: float
    known_gap: bool


def load_pool() -> pd.DataFrame:
    """Return the verified pool, 262 rows in the order of ``SOURCES``."""
    return build_pool()[0]


def build_pool() -> tuple[pd.DataFrame, list[harmonise.Finding]]:
    """Return the verified pool and what joining its sources and deriving its target found."""
    training = _frame(datasets.load_training_corpus())
    full = concatenate([training, _frame(datasets.load_holdout(protocol="2010"))])
    low_modulus = training[training["group"] == 2]
    without_miami = training[(training["site"] != "Miami") & (training["blast_id"] != "Rc1")]
    parts = (full, pd.DataFrame(low_modulus), pd.DataFrame(without_miami))
    sources = dict(zip(SOURCES, parts, strict=True))
    joined, findings = join_sources(sources, "blast_id", content=list(MEASURED), identity=IDENTITY)
    pool, derived = harmonise.derive(joined, [(TARGET, "XB / X50")])
    pool = pd.DataFrame(pool, columns=list(COLUMNS))
    verify(pool)
    return pool, [*findings, *derived]


def verify(pool: pd.DataFrame) -> list[Statistic]:
    """Return every printed statistic beside the pool's own; raise ValueError if the pool is not the one described."""
    if tuple(pool.columns) != COLUMNS:
        raise ValueError(f"pool: expected the columns {COLUMNS}, got {tuple(pool.columns)}; use load_pool() unchanged")
    numeric_table(pool, [TARGET, *MEASURED])
    statistics = _statistics(pool)
    problems = [*_structure_problems(pool), *_digest_problems(pool), *_statistic_problems(statistics)]
    if problems:
        raise ValueError(
            "pool: expected the published pool, got one that differs; use load_pool() unchanged, with the blastfrag "
            "release that it was checked against:\n  " + "\n  ".join(problems)
        )
    return statistics


def make_splits(
    pool: pd.DataFrame,
    protocol: str = DEFAULT_PROTOCOL,
    seeds: Sequence[int] = range(20),
    *,
    stratify: str | None = None,
    test_size: float = 0.2,
) -> list[Split]:
    """Return one split per seed, as row positions in ``pool``; ``stratify`` names a column.

    ``row``: all rows at random, as the report did, so that most test rows have a copy in train. ``blast``: all rows,
    no content on both sides. ``distinct``: the first row of each blast, no content on both sides. ``site``: those
    rows, whole sites held out (two of ten at the default ``test_size``).
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {PROTOCOLS}, got {protocol!r}; check the spelling")
    if stratify is not None and stratify not in pool.columns:
        raise ValueError(f"stratify: expected a column of the pool, got {stratify!r}; choose from {list(pool.columns)}")
    if isinstance(seeds, int):
        raise ValueError(f"seeds: expected a sequence of seeds, got {seeds}; pass range({seeds}) or [{seeds}]")
    first = ~pool["blast_id"].duplicated() if protocol in ("distinct", "site") else np.full(len(pool), True)
    rows = np.flatnonzero(first)
    part = pool.iloc[rows]
    options = {"test_size": test_size, "stratify": None if stratify is None else part[stratify], "protocol": protocol}
    identity = part[IDENTITY].to_numpy()
    splits = []
    for seed in seeds:
        if protocol == "row":
            split = row_split(identity, seed=seed, **options)
        else:
            groups = part["site"].to_numpy() if protocol == "site" else identity
            split = group_split(groups, seed=seed, identity=identity, **options)
        splits.append(split._replace(train=rows[split.train], test=rows[split.test]))
    return splits


def _frame(blasts: list[Blast]) -> pd.DataFrame:
    return pd.DataFrame({column: [getattr(blast, name) for blast in blasts] for column, name in FIELDS.items()})


def _identity(pool: pd.DataFrame) -> pd.Series:
    """The blasts En1 and En2 are equal in every measured column, so blast ids cannot serve."""
    labels = content_identity(pd.DataFrame(pool, columns=list(MEASURED)))
    first_row = np.unique(labels, return_index=True)[1]
    return pool["uid"].iloc[first_row[labels]].set_axis(pool.index)


def _structure_problems(pool: pd.DataFrame) -> list[str]:
    counts = pool["dataset"].value_counts().to_dict()
    appearances = pool["blast_id"].value_counts().value_counts().to_dict()
    contents = pool.groupby("blast_id")[["site", "group", *MEASURED]].nunique()
    checks = {
        f"rows per source: expected {SOURCES}, got {counts}": counts == SOURCES,
        f"blasts by number of appearances: expected {APPEARANCES}, got {appearances}": appearances == APPEARANCES,
        "uid: expected unique values dataset/blast_id": pool["uid"].is_unique
        and pool["uid"].equals(pool["dataset"] + "/" + pool["blast_id"]),
        "blast_id: expected the same content wherever a blast appears": bool((contents.to_numpy() == 1).all()),
        "FI: expected XB / X50 in every row": pool[TARGET].equals(pool["XB"] / pool["X50"]),
        f"{IDENTITY}: expected to be equal exactly on rows of equal content": pool[IDENTITY].equals(_identity(pool)),
    }
    return [message for message, passed in checks.items() if not passed]


def _digest_problems(pool: pd.DataFrame) -> list[str]:
    holdout = {blast.blast_id for blast in datasets.load_holdout(protocol="2010")}
    training = [
        Blast(**{name: row[column] for column, name in FIELDS.items()})
        for row in pool.to_dict("records")
        if row["dataset"] == "hudaverdi_2010_full" and row["blast_id"] not in holdout
    ]
    found = datasets.compute_dataset_digest(training)
    pairs = {
        "the 97 training blasts (digest of blastfrag)": (datasets.DATASET_DIGEST, found),
        "the whole pool": (POOL_DIGEST, pool_digest(pool)),
    }
    return [
        f"{name}: expected the SHA-256 {expected}, got {found}"
        for name, (expected, found) in pairs.items()
        if expected != found
    ]


def pool_digest(pool: pd.DataFrame) -> str:
    """SHA-256 of the pool as CSV with six decimals."""
    text = pool.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _statistics(pool: pd.DataFrame) -> list[Statistic]:
    by_source = pool.groupby("dataset")[list(CORE)]
    tables = {name: getattr(by_source, name)() for name in ("mean", "median", "skew")}
    found = []
    for source, printed in PRINTED.items():
        for (column, name), figure in printed.items():
            values = tables[name][column]
            if source in SOURCES:
                value = values.get(source, np.nan)
            else:
                value = values.min() if source.startswith("lowest") else values.max()
            found.append(Statistic(source, column, name, figure, float(value), (source, column, name) in KNOWN_GAPS))
    return found


def _statistic_problems(statistics: list[Statistic]) -> list[str]:
    problems = []
    for source, column, name, printed, found, known_gap in statistics:
        figure = f"{KNOWN_GAPS[source, column, name]:.4f}" if known_gap else printed
        decimals = len(figure.partition(".")[2])
        # Half a unit of the last digit; a NaN, too, must fail.
        if not abs(found - float(figure)) <= 0.5 * 10.0**-decimals + 1e-9:
            problems.append(f"{name} of {column}, {source}: expected {figure} as printed or recorded, got {found:.4f}")
    return problems
