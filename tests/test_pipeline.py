"""The two-stage pipeline: its rules on hand-made cases, and one small run from end to end."""

import json

import numpy as np
import pytest

import pipeline
from fragmentation import COLUMNS


def test_rows_that_cannot_exist_are_rejected():
    good = np.full((1, len(COLUMNS)), 2.0)
    bad = np.repeat(good, 4, 0)
    bad[0, COLUMNS.index("S/B")] = 0.99  # burden above spacing
    bad[1, 0], bad[2, 1], bad[3, 2] = np.nan, -0.1, np.inf
    assert pipeline.allowed(np.concatenate([good, bad])).tolist() == [True, False, False, False, False]
    rows, rejected = pipeline.filtered(np.concatenate([good, bad]), 10)
    assert rejected == pytest.approx(0.8)
    assert rows.shape == (10, len(COLUMNS))
    assert pipeline.allowed(rows).all()
    assert pipeline.filtered(bad, 4)[1] == 1


@pytest.mark.parametrize(
    ("ks", "ad", "gap", "kept"),
    [
        ((0.14, 0.1), (0.3, 0.1), (1.0, 0.0), "option_a"),  # A meets the target: B is not asked
        ((0.2, 0.1), (0.3, 0.1), (1.0, 2.0), "option_b"),
        ((0.2, 0.1), (0.1, 0.3), (1.0, 2.0), "option_a"),
    ],
)
def test_the_choice_follows_the_plan(ks, ad, gap, kept):
    parts = [dict(zip(("option_a", "option_b"), part, strict=True)) for part in (ks, ad, gap)]
    assert pipeline.choose(*parts, target=0.15) == kept


@pytest.mark.slow
def test_a_small_run(tmp_path):
    out = tmp_path / "out"
    arguments = ["--splits", "2", "--seeds", "1", "--rough", "300", "--rows", "300", "--epochs", "2", "--out", str(out)]
    assert pipeline.main(arguments) == 0
    document = json.loads((out / "results.json").read_text())
    generators = {record["generator"] for record in document["records"]}
    assert generators == {"bootstrap", "independent", "smoothed", "rough_copula", "option_a", "option_b", "pipeline"}
    assert len(document["choices"]) == 2
    assert {path.name for path in out.iterdir()} == {"results.json", "report.md", "tstr.png"}
    assert pipeline.main(["--out", str(out)]) == 2
    assert pipeline.main(["--rough", "3", "--out", str(tmp_path / "new")]) == 2
