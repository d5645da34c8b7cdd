"""The case-study data as files to share: the harmonised blast table, its schema, and a data card.

    python experiments/case_study_data.py --out results/case_study_data

Writes ``pool.csv`` (262 rows as the report stacked them, with provenance), ``distinct.csv`` (one row for each distinct
measurement, the columns that a synthesizer takes), a schema beside each, ``DATA_CARD.md`` and the licence of the
package that the measurements come from. Every number of the card is computed from the table. No file is replaced.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
from blastfrag import datasets
from jaxcop import tables
from jaxcop.checkpoint import write_whole
from jaxcop.report.tables import Table, to_markdown
from jaxcop.tables import blasting, harmonise

import blasts
import outputs

BAND = "FI_band"
MEANING = {
    "uid": "unique key: dataset/blast_id",
    "dataset": "provenance: the source of the row, as the report names it",
    "blast_id": "number of the blast in its paper; repeats across sources",
    "site": "mine or quarry",
    "group": "rock stiffness: 1 high, 2 low Young's modulus",
    "FI": "fragmentation index, derived: XB / X50",
    BAND: "band of FI, derived",
    "X50": "median fragment size",
    "PF": "powder factor: explosive per volume of rock",
    "H/B": "bench height over burden",
    "B/D": "burden over hole diameter",
    "T/B": "stemming over burden",
    "S/B": "spacing over burden",
    "E": "Young's modulus",
    "XB": "in-situ block size",
    blasts.IDENTITY: "uid of the first row of equal measurements: split by this",
}
"""Columns of the table, in its order."""
BANDS = tuple(harmonise.band_labels("FI", **blasting.FI_BANDS))
KEYS = ("uid", "blast_id", blasts.IDENTITY)
PAPERS = (
    "Hudaverdi, T., Kulatilake, P. H. S. W. and Kuzu, C. (2010). Int. J. Numer. Anal. Meth. Geomech., "
    "doi:10.1002/nag.957: the 97 blasts and the hold-out of Table VIII",
    "Kulatilake, P. H. S. W., Hudaverdi, T. and Wu, Q. (2012). Geotech. Geol. Eng., doi:10.1007/s10706-012-9496-3: "
    "the later hold-out, of which only the repeated blast below matters here",
    "Zhao, X. (2025). Copula-VAE Hybrid Synthesis for Small-Sample Geoscience Data, Imperial College London: the "
    "stacking of three sources, rebuilt here",
)


def build() -> tuple[pd.DataFrame, list[harmonise.Finding]]:
    """The pool with bands, and every finding of joining, deriving, banding and checking."""
    pool, findings = blasts.build_pool()
    pool, banded = harmonise.add_bands(pool, "FI", BAND, **blasting.FI_BANDS)
    pool = pd.DataFrame(pool, columns=list(MEANING)).astype({BAND: "str"})
    return pool, [*findings, *banded, *harmonise.check(pool, blasting.PLAUSIBLE)]


def distinct_rows(pool: pd.DataFrame) -> pd.DataFrame:
    """One row for each distinct measurement, without keys, provenance and what others determine."""
    first = pool[pool["uid"] == pool[blasts.IDENTITY]]
    return pd.DataFrame(first.drop(columns=[*KEYS, "dataset", "XB", BAND])).reset_index(drop=True)


def schema_of(frame: pd.DataFrame) -> tables.Schema:
    """Inferred, with units; keys, which no model should learn, and the group are listed as categories."""
    listed = [name for name in (*KEYS, "group") if name in frame.columns]
    inferred = tables.infer_schema(frame.drop(columns=listed))
    known = {column.name: replace(column, unit=blasting.UNITS.get(column.name)) for column in inferred.columns}
    for name in listed:
        known[name] = tables.Column(name, "categorical", str(frame[name].dtype), tuple(sorted(set(frame[name]))))
    if BAND in known:
        known[BAND] = replace(known[BAND], categories=BANDS)
    return tables.Schema(tuple(known[name] for name in frame.columns))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="new or empty folder")
    out = parser.parse_args(arguments).out
    try:
        outputs.check_folder(out, overwrite=False)
        pool, findings = build()
        files = {"pool": pool, "distinct": distinct_rows(pool)}
        for name, frame in files.items():
            tables.write_csv(out / f"{name}.csv", [frame])
            tables.write_schema(out / f"{name}.schema.json", schema_of(frame))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _write(out / "LICENSE-blastfrag.txt", _licence())
    _write(out / "DATA_CARD.md", card(out, files, findings))
    print(f"Wrote {', '.join(sorted(path.name for path in out.iterdir()))} to {out}.")
    return 0


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def _licence() -> str:
    files = distribution("blastfrag").files or []
    (found,) = [file for file in files if file.name == "LICENSE"]
    return found.read_text()


def card(out: Path, files: dict[str, pd.DataFrame], findings: list[harmonise.Finding]) -> str:
    """The data card as Markdown."""
    pool, distinct = files["pool"], files["distinct"]
    package = distribution("blastfrag")
    sections = {
        "Blast fragmentation, harmonised: data card": [
            f"`pool.csv`: {len(pool)} rows of {pool['dataset'].nunique()} sources, {pool['blast_id'].nunique()} blast "
            f"numbers, {pool[blasts.IDENTITY].nunique()} distinct measurements, {pool['site'].nunique()} sites. "
            f"`distinct.csv`: {len(distinct)} rows, one for each distinct measurement, what to give to `jaxcop fit`: "
            "without keys and provenance, and without XB (FI times X50) and the band of FI. Missing cells: "
            f"{int(pool.isna().sum().sum())}. A schema lies beside each.",
            "**Do not split the pool by rows.** Most rows have a copy (below): a random split puts copies of its test "
            f"rows into training. Split by the column `{blasts.IDENTITY}`, or by `site`.",
        ],
        "Source and licence": [
            "\n".join(f"- {paper}." for paper in PAPERS),
            f"The measurements are read from the package `blastfrag` {package.version}, whose licence is "
            f"{package.metadata['License']} (notice in `LICENSE-blastfrag.txt`). That is its author's licence of the "
            "transcription; the papers are their publishers'. Cite the papers.",
        ],
        "Columns": [_text_table(_columns(pool))],
        "Derived": ["\n".join(_derived(findings))],
        "Counts": [to_markdown(_counts(pool)), to_markdown(_overlap(pool))],
        "What joining, deriving and banding found": [to_markdown(_findings(findings))],
        "Plausibility": [to_markdown(_checks(findings, pool))],
        "Known blemishes": ["\n".join(f"- {text}" for text in _blemishes(pool, findings)), to_markdown(_gaps(pool))],
        "Digests": [_text_table(_digests(out, files, pool))],
    }
    text = [
        "\n\n".join([f"{'#' if not number else '##'} {title}", *parts])
        for number, (title, parts) in enumerate(sections.items())
    ]
    return "\n\n".join(text) + "\n"


def _columns(pool: pd.DataFrame) -> Table:
    rows = []
    for column in schema_of(pool).columns:
        values = pool[column.name]
        if column.kind in ("continuous", "integer"):
            shown = f"{values.min():.4g} to {values.max():.4g}, median {values.median():.4g}"
        else:
            shown = f"{values.nunique()} values"
        decimals = "" if column.decimals is None else str(column.decimals)
        rows.append((f"`{column.name}`", MEANING[column.name], column.unit or "–", column.kind, decimals, shown))
    return Table("Columns of the pool.", ("column", "meaning", "unit", "kind", "decimals", "values"), tuple(rows))


def _derived(findings: list[harmonise.Finding]) -> list[str]:
    lines = [f"- `{f.subject}`: {f.outcome} in {f.count} rows." for f in findings if f.step == "derive" and f.count]
    edges = "; ".join(f"`{f.outcome}`" for f in findings if f.step == "band" and f.outcome != "no band")
    return [*lines, f"- `{BAND}`: {edges} (text, in this order).", "- No other value was converted, filled or changed."]


def _counts(pool: pd.DataFrame) -> Table:
    counts = pd.crosstab(pool["site"], pool["dataset"])[list(pool["dataset"].unique())]
    distinct = pool.drop_duplicates(blasts.IDENTITY)["site"].value_counts()
    rows = [
        (str(site), *map(str, row), str(distinct[site]))
        for site, row in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    total = ("all", *map(str, counts.sum()), str(distinct.sum()))
    return Table("Rows by site and source.", ("site", *counts.columns, "distinct"), (*rows, total))


def _overlap(pool: pd.DataFrame) -> Table:
    sets = {source: set(part["blast_id"]) for source, part in pool.groupby("dataset", sort=False)}
    rows = [(str(one), *(str(len(sets[one] & sets[other])) for other in sets)) for one in sets]
    times = pool["blast_id"].value_counts().value_counts().sort_index(ascending=False)
    spoken = ", ".join(f"{count} in {number}" for number, count in times.items())
    return Table(f"Blasts that two sources share; of {len(set.union(*sets.values()))} blasts {spoken} of the sources.",
                 ("source", *map(str, sets)), tuple(rows))  # fmt: skip


def _findings(findings: list[harmonise.Finding]) -> Table:
    rows = [(f.step, f.subject, f.outcome, str(f.count)) for f in findings if f.step != "check"]
    return Table("Nothing was dropped.", ("step", "subject", "outcome", "rows"), tuple(rows))


def _checks(findings: list[harmonise.Finding], pool: pd.DataFrame) -> Table:
    found = {(f.subject, f.outcome): f for f in findings if f.step == "check"}
    rows = []
    for rule in dict.fromkeys(subject for subject, _ in found):
        failing = pool["uid"].loc[list(found[rule, "fails"].rows)].tolist()
        counts = (str(found[rule, outcome].count) for outcome in ("holds", "fails", "unknown"))
        rows.append((rule, *counts, ", ".join(failing[: harmonise.SHOWN])))
    return Table("Rows in which each rule holds, fails, or cannot be told. No row was dropped or changed.",
                 ("rule", "holds", "fails", "unknown", "first that fail"), tuple(rows))  # fmt: skip


def _text_table(table: Table) -> str:
    """As Markdown, columns to the left."""
    return to_markdown(table).replace("---:|", "---|")


def _blemishes(pool: pd.DataFrame, findings: list[harmonise.Finding]) -> list[str]:
    twins = pool.groupby(blasts.IDENTITY)["blast_id"].unique()
    equal = [" and ".join(sorted(names)) for names in twins if len(names) > 1]
    training = {blast.blast_id for blast in datasets.load_training_corpus()}
    later = {blast.blast_id for blast in datasets.load_holdout(protocol="2012")}
    failed = [
        f"{f.subject} ({f.count} rows)" for f in findings if f.step == "check" and f.outcome == "fails" and f.count
    ]
    return [
        f"Equal in every measured column under two numbers: {', '.join(equal)}.",
        f"In the 97 blasts and in the hold-out of 2012 as well: {', '.join(sorted(training & later))}.",
        "The rows of hudaverdi_2012 and kulatilake_2010 are inferred from the statistics that the report prints; the "
        f"report's own file was not published. {len(blasts.KNOWN_GAPS)} of the "
        f"{sum(map(len, blasts.PRINTED.values()))} printed statistics differ from the table's, below.",
        f"Plausibility rules that some rows fail, kept as published: {'; '.join(failed) or 'none'}.",
        "FI is computed from two columns of the table, so that X50 and XB give it away: leave XB out when FI is the "
        "target.",
    ]


def _gaps(pool: pd.DataFrame) -> Table:
    rows = [
        (f"{s.name} of {s.column}, {s.source}", s.printed, f"{s.found:.4f}")
        for s in blasts.verify(pd.DataFrame(pool, columns=list(blasts.COLUMNS)))
        if s.known_gap
    ]
    return Table(
        "Printed statistics that the rebuilt table does not round to.", ("statistic", "printed", "found"), tuple(rows)
    )


def _digests(out: Path, files: dict[str, pd.DataFrame], pool: pd.DataFrame) -> Table:
    rows = [(f"`{name}.csv`", hashlib.sha256((out / f"{name}.csv").read_bytes()).hexdigest()) for name in files]
    checked = [
        ("pool without bands, six decimals", blasts.pool_digest(pd.DataFrame(pool, columns=list(blasts.COLUMNS)))),
        ("the 97 blasts (blastfrag's own)", datasets.compute_dataset_digest(datasets.load_training_corpus())),
    ]
    return Table("SHA-256.", ("what", "digest"), (*rows, *checked))


if __name__ == "__main__":
    raise SystemExit(main())
