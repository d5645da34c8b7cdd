"""Harmonisation: units against constants by hand, the report's formulas on field data, bands, sources, checks."""

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from blastfrag import datasets
from jaxcop import tables
from jaxcop.tables import blasting, harmonise

import blasts
import case_study_data


def counts(findings):
    return {(found.subject, found.outcome): found.count for found in findings}


@pytest.mark.parametrize(
    ("units", "given", "expected"),
    [
        (("mm", "m"), 102, 0.102),
        (("inch", "mm"), 4, 101.6),
        (("foot", "m"), 10, 3.048),
        (("lb/yard^3", "kg/m^3"), 1, 0.45359237 / 0.9144**3),
        (("psi", "GPa"), 1e6, 0.45359237 * 9.80665 / 0.0254**2 * 1e6 / 1e9),
        (("1/cm", "1/m"), 0.3, 30.0),
        (("degC", "kelvin"), 20, 293.15),
        (("percent", "dimensionless"), 35, 0.35),
        (("m", "m"), 1.5, 1.5),
    ],
)
def test_units_by_hand(units, given, expected):
    frame = pd.DataFrame({"x": [given, np.nan], "other": ["a", "b"]})
    out, findings = harmonise.convert_units(frame, {"x": units})
    assert out["x"][0] == pytest.approx(expected, rel=1e-14)
    assert np.isnan(out["x"][1])
    assert counts(findings) == {("x", f"{units[0]} to {units[1]}"): 1}
    assert frame["x"][0] == given
    assert out["other"].tolist() == ["a", "b"]


def test_decimals_survive_a_division():
    frame = pd.DataFrame({"D": np.arange(1, 2000)})
    metres = harmonise.convert_units(frame, {"D": ("mm", "m")})[0]["D"]
    assert metres.tolist() == [float(Fraction(n, 1000)) for n in range(1, 2000)]
    assert tables.infer_schema(metres.to_frame()).columns[0].decimals == 3


@pytest.mark.parametrize(
    "units", [("m", "kg"), ("m", "smoots_of_old"), ("m", "m +"), ("", "("), ("degC", "m"), (3, "m")]
)
def test_units_that_do_not_go_together(units):
    with pytest.raises(ValueError, match="column 'x': expected two units of one dimension"):
        harmonise.convert_units(pd.DataFrame({"x": [1.0]}), {"x": units})


def test_columns_that_have_no_unit():
    with pytest.raises(ValueError, match="expected numbers"):
        harmonise.convert_units(pd.DataFrame({"x": ["1"]}), {"x": ("mm", "m")})
    with pytest.raises(ValueError, match="units: expected one of"):
        harmonise.convert_units(pd.DataFrame({"x": [1]}), {"y": ("mm", "m")})


def field_blasts():
    """Five blasts with their absolute pattern and the published ratios (Sui et al. 2025, tables 4 and 5)."""
    rows = datasets.load_field_holdout()
    ratios = {"S/B": "S_over_B", "H/B": "H_over_B", "T/B": "T_over_B", "B/D": "B_over_D", "XB": "XB_m", "X50": "x50_m"}
    pattern = {"B": "burden_m", "S": "spacing_m", "H": "bench_height_m", "T": "stemming_m", "D": "hole_diameter_mm"}
    return pd.DataFrame(
        [
            {k: getattr(row, v) for k, v in ratios.items()} | {k: row.meta["absolute"][v] for k, v in pattern.items()}
            for row in rows
        ]
    )


def test_the_rules_of_the_report_on_published_patterns():
    """The printed pattern has the printed ratios, to two decimals; area and ratio give the pattern back."""
    metres, _ = harmonise.convert_units(field_blasts(), {"D": ("mm", "m")})
    _, findings = harmonise.derive(metres, blasting.DERIVATIONS, tolerance=0.01, skip_absent=True)
    found = counts(findings)
    for subject in ("S/B = S / B", "H/B = H / B", "T/B = T / B", "B/D = B / D"):
        assert found[subject, "agrees"] == 5, subject
    assert found["FI = XB / X50", "filled"] == 5
    assert found["X50 = 6 / ss50", "passed over, no column ss50"] == 5
    area = metres.assign(A=metres["S"] * metres["B"], ss50=6 / metres["X50"], **{"S/B": metres["S"] / metres["B"]})
    hidden = area.drop(columns=["B", "S", "X50", "H/B", "T/B", "B/D"])
    back, findings = harmonise.derive(hidden, blasting.DERIVATIONS, skip_absent=True)
    for name in ("B", "S", "X50"):
        np.testing.assert_allclose(back[name], metres[name], rtol=1e-14)
    # The last rule for S finds what the one before it filled.
    assert counts(findings)["S = `S/B` * B", "agrees"] == 5


def test_specific_surface_of_a_cube():
    out, _ = harmonise.derive(pd.DataFrame({"ssB": [2.0], "S/B": [1.2]}), blasting.DERIVATIONS, skip_absent=True)
    assert out[["B", "S"]].to_numpy().tolist() == [[3.0, pytest.approx(3.6)]]


def test_derive_never_changes_what_is_given():
    frame = pd.DataFrame({"a": [1.0, 4.0, -1.0, np.nan, 0.0, 1.0], "b": [9.0, np.nan, np.nan, np.nan, 1e-9, np.inf]})
    out, findings = harmonise.derive(frame, [("b", "sqrt(a)")])
    np.testing.assert_array_equal(out["b"], [9.0, 2.0, np.nan, np.nan, 1e-9, np.inf])
    subject = "b = sqrt(a)"
    assert counts(findings) == {(subject, "filled"): 1, (subject, "agrees"): 0, (subject, "disagrees"): 3,
                                (subject, "stays missing"): 2}  # fmt: skip
    assert {f.outcome: f.rows for f in findings}["disagrees"] == (0, 4, 5)
    assert harmonise.derive(frame, [("b", lambda f: f["a"] ** 0.5)])[0].equals(out)
    with pytest.raises(ValueError, match="the column 'c'"):
        harmonise.derive(frame, [("b", "c + 1")])


def test_expressions_against_python():
    frame = pd.DataFrame({"a b": [1.0, 2.0, 3.0], "c": [2, 2, 2], "n": pd.array([1, None, 3], "Int64")})
    a, c = frame["a b"], frame["c"]
    for text, expected in {
        "`a b` ** c - -1": a**2 + 1,
        "log(exp(c)) + abs(-`a b`)": c + a,
        "min(`a b`, c) + max(`a b`, 2)": np.minimum(a, 2) + np.maximum(a, 2),
        "1 < `a b` <= c": [0, 1, 0],
        "`a b` == 1 or `a b` == 3": [1, 0, 1],
        "`a b` != 2 and c >= 2": [1, 0, 1],
        "n >= 1": [1, np.nan, 1],
        "1 / 4": [0.25] * 3,
        "9 ** 9 ** 9": [np.inf] * 3,
    }.items():
        np.testing.assert_allclose(harmonise._values(text, frame), expected, err_msg=text)


@pytest.mark.parametrize(
    "text",
    ["", "a +", "__import__('os')", "a.real", "a[0]", "'x' == a", "True + a", "lambda: a", "sqrt(a, a)", "sqrt(x=a)",
     "sqrt", "a if a else a", "a // 2", "a % 2", "[a]", "not a", "a in a", "(" * 250 + "a" + ")" * 250, "-" * 990 + "a",
     "a" * 1001, "a\0", "f(a)", "a; a", "a := 1", None],
)  # fmt: skip
def test_expressions_run_nothing_else(text):
    with pytest.raises(ValueError, match="expected"):
        harmonise._values(text, pd.DataFrame({"a": [1.0]}))


@pytest.mark.parametrize(
    ("edge_in", "labels", "codes"),
    [
        (("above", "below"), ["FI < 4", "4 <= FI <= 8", "FI > 8"], [0, 1, 1, 1, 2, -1]),
        (("below", "above"), ["FI <= 4", "4 < FI < 8", "FI >= 8"], [0, 0, 1, 2, 2, -1]),
        (("above", "above"), ["FI < 4", "4 <= FI < 8", "FI >= 8"], [0, 1, 1, 2, 2, -1]),
    ],
)
def test_bands(edge_in, labels, codes):
    frame = pd.DataFrame({"FI": [np.nextafter(4, 0), 4, 6, 8, np.inf, np.nan]})
    out, findings = harmonise.add_bands(frame, "FI", "band", (4, 8), edge_in)
    assert out["band"].cat.ordered
    assert out["band"].cat.categories.tolist() == labels
    assert out["band"].cat.codes.tolist() == codes
    assert sum(found.count for found in findings) == 6
    assert "band" not in frame


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "FI"}, "new column"),
        ({"column": "x"}, "column: expected one of"),
        ({"edges": (8, 4)}, "increase"),
        ({"edges": ()}, "increase"),
        ({"edge_in": ("above",)}, "'above' or 'below' for each"),
        ({"edge_in": ("left", "right")}, "'above' or 'below' for each"),
    ],
)
def test_bands_that_cannot_be(change, message):
    options = {"column": "FI", "name": "band", "edges": (4, 8), "edge_in": ("above", "below")} | change
    with pytest.raises(ValueError, match=message):
        harmonise.add_bands(pd.DataFrame({"FI": [1.0]}), **options)


def test_joined_sources():
    one = pd.DataFrame({"id": ["a", "b", "c"], "x": [1.0, 2.0, 3.0], "n": [1, 2, 3], "ok": [True, False, True]})
    two = pd.DataFrame({"id": ["a", "b", "d"], "x": [1.0, 5.0, 3.0], "rock": ["p", None, "q"]}, index=[7, 8, 9])
    table, findings = tables.join_sources({"one": one, "two": two}, "id", content=["x"])
    assert table["dataset"].tolist() == ["one"] * 3 + ["two"] * 3
    assert table["uid"].tolist() == ["one/a", "one/b", "one/c", "two/a", "two/b", "two/d"]
    assert table["identity"].tolist() == ["one/a", "one/b", "one/c", "one/a", "two/b", "one/c"]
    assert (table["n"].dtype, table["ok"].dtype) == ("Int64", "boolean")
    assert table["n"].isna().tolist() == table["ok"].isna().tolist() == [False] * 3 + [True] * 3
    found = {(f.subject, f.outcome): f.rows or f.count for f in findings}
    assert found["two", "has no column n, left missing"] == 3
    assert found["one", "has no column rock, left missing"] == 3
    assert found["id", "in another source, equal content"] == (0, 3)
    assert found["id", "in another source, other content"] == (1, 4)
    assert found["id", "equal content under another key"] == (2, 5)
    assert found["identity", "first of its content"] == (0, 1, 2, 4)


@pytest.mark.parametrize(
    ("two", "message"),
    [
        ({"id": ["a", "a"], "x": [1, 2]}, "missing or repeated"),
        ({"id": ["a", None], "x": [1, 2]}, "missing or repeated"),
        ({"id": ["a"], "x": ["1"]}, "one kind in all sources"),
        ({"id": ["a"], "x": [True]}, "one kind in all sources"),
        ({"x": [1]}, "key, source 'two'"),
        ({"id": ["a"], "x": [1], "uid": [1]}, "to be free"),
    ],
)
def test_sources_that_cannot_be_joined(two, message):
    with pytest.raises(ValueError, match=message):
        tables.join_sources({"one": pd.DataFrame({"id": ["a"], "x": [1]}), "two": pd.DataFrame(two)}, "id")


def test_keys_that_meet_in_one_text():
    part = pd.DataFrame({"id": ["b/c"], "x": [1]}), pd.DataFrame({"id": ["c"], "x": [2]})
    with pytest.raises(ValueError, match="source/key to be unique"):
        tables.join_sources({"a": part[0], "a/b": part[1]}, "id")


def test_checks_count_and_change_nothing():
    frame = pd.DataFrame({"B": [3.0, 4.0, np.nan], "S": [3.0, 3.5, 4.0]}, index=["p", "q", "r"])
    before = frame.copy()
    found = harmonise.check(frame, {"order": "B <= S", "own": lambda f: f["S"] > 3.2})
    assert [(f.subject, f.outcome, f.rows) for f in found] == [
        ("order", "holds", ("p",)), ("order", "fails", ("q",)), ("order", "unknown", ("r",)),
        ("own", "holds", ("q", "r")), ("own", "fails", ("p",)), ("own", "unknown", ()),
    ]  # fmt: skip
    assert frame.equals(before)
    with pytest.raises(ValueError, match="expected a condition"):
        harmonise.check(frame, {"order": "B - S"})
    with pytest.raises(ValueError, match="expected true, false or missing"):
        harmonise.check(frame, {"order": lambda f: f["B"] - f["S"]})


def test_plausibility_of_the_pool_and_of_a_unit_error():
    pool = blasts.load_pool()
    assert not any(found.count for found in harmonise.check(pool, blasting.PLAUSIBLE) if found.outcome != "holds")
    wrong = pool.assign(X50=pool["X50"].where(pool.index != 5, pool["X50"] * 1000))
    failing = {
        f.subject: f.rows for f in harmonise.check(wrong, blasting.PLAUSIBLE) if f.outcome == "fails" and f.count
    }
    assert failing == dict.fromkeys(
        ["X50 from 0.001 to 5 m", "fragments no larger than blocks", "FI is XB / X50"], (5,)
    )


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "case"
    assert case_study_data.main(["--out", str(out)]) == 0
    return out


def test_the_released_table_is_the_pool(released):
    pool = tables.read_csv(released / "pool.csv")
    pd.testing.assert_frame_equal(pool[list(blasts.COLUMNS)], blasts.load_pool(), check_dtype=False)
    for name in ("pool", "distinct"):
        frame, schema = tables.read_csv(released / f"{name}.csv"), tables.read_schema(released / f"{name}.schema.json")
        pd.testing.assert_frame_equal(tables.decode(tables.encode(frame, schema), schema), frame)
    assert {column.name: column.unit for column in schema.columns}["PF"] == "kg/m^3"
    assert len(frame) == frame.drop_duplicates().shape[0] == 109
    schema = tables.read_schema(released / "pool.schema.json")
    assert schema.columns[6].categories == ("FI < 4", "4 <= FI <= 8", "FI > 8")


def test_the_card_follows_the_table(released):
    text = (released / "DATA_CARD.md").read_text()
    pool = tables.read_csv(released / "pool.csv")
    assert "262 rows of 3 sources, 110 blast numbers, 109 distinct measurements, 10 sites" in text
    assert "of 110 blasts 56 in 3, 40 in 2, 14 in 1 of the sources" in text
    assert "En1 and En2" in text
    assert "as well: Rc1." in text
    assert f"| band | FI_band | FI > 8 | {(pool['FI'] > 8).sum()} |" in text
    assert "MIT License" in (released / "LICENSE-blastfrag.txt").read_text()
    # Another table has another card.
    part = pool[pool["dataset"] == "hudaverdi_2012"]
    findings = harmonise.check(part.assign(PF=9.0), blasting.PLAUSIBLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blasts, "verify", lambda pool: [])
        other = case_study_data.card(released, {"pool": part, "distinct": part}, findings)
    assert "62 rows of 1 sources" in other
    assert "| PF from 0.05 to 3 kg/m3 | 0 | 62 | 0 |" in other


def test_nothing_is_replaced(released, capsys):
    before = {path.name: path.read_bytes() for path in released.iterdir()}
    assert case_study_data.main(["--out", str(released)]) == 2
    assert "expected an empty or new folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in released.iterdir()} == before
    assert json.loads(before["pool.schema.json"])["format"] == "jaxcop-schema-1"
