"""Schemas and encoding: every training table comes back as it was, and bad input is named."""

import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxcop import tables
from jaxcop.tables import schema_files as schemas

ROWS = 12


def _masked(draw, values, missing):
    if not draw(st.booleans()):
        return None
    mask = np.array(draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    return mask if missing and mask.any() else None


@st.composite
def columns(draw):
    """A column of one of the dtypes of pandas, constant or not, with or without missing values."""
    kind = draw(st.sampled_from(["float", "float32", "rounded", "int", "uint8", "Int64", "bool", "boolean", "text",
                                 "object", "category", "string", "Float64", "half_steps", "zeros"]))  # fmt: skip

    def many(strategy):
        return draw(st.lists(strategy, min_size=ROWS, max_size=ROWS))

    words = st.sampled_from(["a", "b", "no", "=x", "ü", "1", ""])
    if kind in ("float", "Float64"):
        values = pd.Series(many(st.floats(-1e100, 1e100)), dtype=kind.replace("float", "float64"))
    elif kind == "float32":
        values = pd.Series(np.array(many(st.floats(-(2.0**100), 2.0**100, width=32)), np.float32))
    elif kind == "rounded":
        places = draw(st.integers(0, 8))
        values = pd.Series([round(value, places) for value in many(st.floats(-1e4, 1e4))])
    elif kind == "half_steps":
        values = pd.Series(many(st.integers(-40, 40).map(lambda i: i * 0.25)))
    elif kind == "zeros":
        values = pd.Series(many(st.one_of(st.just(0.0), st.floats(0, 100), st.integers(0, 400).map(lambda i: i / 4))))
    elif kind == "int":
        values = pd.Series(many(st.integers(-(2**53) + 1, 2**53 - 1)), dtype="int64")
    elif kind == "uint8":
        values = pd.Series(many(st.integers(0, 255)), dtype="uint8")
    elif kind == "Int64":
        values = pd.Series(many(st.integers(-5, 5).map(lambda i: 10 * i)), dtype="Int64")
    elif kind in ("bool", "boolean"):
        values = pd.Series(many(st.booleans()), dtype=kind)
    elif kind == "category":
        values = pd.Series(pd.Categorical(many(words), ordered=draw(st.booleans())))
    else:
        values = pd.Series(many(words), dtype={"text": "str"}.get(kind, kind))
    mask = _masked(draw, values, kind not in ("int", "uint8", "bool"))
    if mask is not None and not (kind == "category" and mask.all()):
        values = values.mask(mask)
    return values


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(columns(), min_size=1, max_size=5), st.integers(0, 2**31))
def test_round_trip_is_exact(parts, seed):
    frame = pd.concat(parts, axis=1, keys=[f"c{j}" for j in range(len(parts))])
    schema = tables.infer_schema(frame)
    again = schemas.from_json(json.loads(json.dumps(schemas.to_json(schema))))
    assert again == schema
    x = tables.encode(frame, schema)
    assert np.isfinite(x).all()
    assert x.shape == (ROWS, len(tables.array_columns(schema)))
    pd.testing.assert_frame_equal(tables.decode(x, schema), frame, check_exact=True)
    spread = tables.dequantise(jax.random.key(seed), x, schema)
    pd.testing.assert_frame_equal(tables.decode(spread, schema), frame, check_exact=True)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 200
    return pd.DataFrame(
        {
            "burden": (rng.gamma(4, 0.5, n) + 0.5).round(2),
            "holes": rng.integers(0, 40, n) * 5,
            "site": rng.choice(["north", "south", "west"], n),
            "wet": rng.random(n) < 0.3,
            "temperature": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "crew": 4,
        }
    )


def test_what_is_inferred(frame):
    found = {column.name: column for column in tables.infer_schema(frame).columns}
    assert {name: column.kind for name, column in found.items()} == {
        "burden": "continuous", "holes": "integer", "site": "categorical", "wet": "boolean",
        "temperature": "continuous", "crew": "constant",
    }  # fmt: skip
    assert (found["burden"].decimals, found["burden"].lower, found["burden"].increment) == (2, 0, None)
    assert found["holes"].increment == 5
    assert (found["temperature"].decimals, found["temperature"].lower) == (None, None)
    assert found["temperature"].missing == "temperature"
    assert found["site"].categories == ("north", "south", "west")


def test_rows_of_any_float_decode_to_legal_rows(frame):
    schema = tables.infer_schema(frame)
    narrow = dataclasses.replace(schema.columns[0], lower=0.705, upper=2.0)
    schema = dataclasses.replace(schema, columns=(narrow, *schema.columns[1:]))
    x = np.random.default_rng(1).normal(0, 100, (500, len(tables.array_columns(schema))))
    rows = tables.decode(x.astype(np.float32), schema)
    assert (rows.dtypes == frame.dtypes).all()
    assert rows["burden"].between(0.71, 2.0).all()
    assert (rows["burden"].round(2) == rows["burden"]).all()
    assert rows["burden"].isin([0.71, 2.0]).mean() > 0.9
    assert (rows["holes"] >= 0).all()
    assert (rows["holes"] % 5 == 0).all()
    assert set(rows["site"]) == {"north", "south", "west"}
    assert (rows["crew"] == 4).all()
    assert 0 < rows["temperature"].isna().mean() < 1


def test_integers_stay_inside_their_dtype():
    schema = tables.Schema((tables.Column("n", "integer", "int8"), tables.Column("m", "integer", "uint64")))
    rows = tables.decode(np.array([[1e4, -3.0], [-1e4, 1e30]]), schema)
    assert rows["n"].tolist() == [127, -128]
    assert rows["m"].iloc[0] == 0
    assert rows["m"].iloc[1] > 2**63


def test_columns_missing_together_stay_so(frame):
    frame["humidity"] = frame["temperature"] * 2
    schema = tables.infer_schema(frame)
    assert tables.array_columns(schema)[-1] == "temperature missing"
    x = np.random.default_rng(1).normal(0.5, 1, (300, len(tables.array_columns(schema))))
    rows = tables.decode(x, schema)
    assert (rows["humidity"].isna() == rows["temperature"].isna()).all()


def test_dequantised_values_are_spread_and_missing_cells_filled_from_the_column(frame):
    schema = tables.infer_schema(frame)
    x = tables.encode(frame, schema)
    names = tables.array_columns(schema)
    one = tables.dequantise(jax.random.key(0), x, schema)
    assert (one == tables.dequantise(jax.random.key(0), x, schema)).all()
    assert (one != tables.dequantise(jax.random.key(1), x, schema)).any()
    assert len(np.unique(one[:, names.index("wet")])) == len(frame)
    temperature, gone = one[:, names.index("temperature")], frame["temperature"].isna().to_numpy()
    assert np.isin(temperature[gone], temperature[~gone]).all()
    assert len(np.unique(temperature[gone])) > 10


def test_missing_cells_keep_the_dependence():
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    frame = pd.DataFrame({"x": x, "y": np.where(rng.random(600) < 0.4, np.nan, x + 0.1 * rng.normal(size=600))})
    schema = tables.infer_schema(frame)
    filled = tables.dequantise(jax.random.key(0), tables.encode(frame, schema), schema)
    # Values drawn from all rows would leave 0.6 of it.
    assert np.corrcoef(filled[:, 0], filled[:, 1])[0, 1] > 0.97


def zeros(values, share=0.4, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(values)) < share, 0, values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (lambda rng, n: zeros(rng.gamma(1, 3, n)), True),
        (lambda rng, n: zeros(rng.gamma(1, 3, n).round(2)), True),
        (lambda rng, n: zeros(5 * rng.integers(1, 30, n)), True),
        (lambda rng, n: zeros(rng.poisson(6, n), 0.2), True),
        (lambda rng, n: rng.gamma(1, 3, n).round(1), False),
        (lambda rng, n: rng.gamma(1, 3, n).round(), False),
        (lambda rng, n: rng.poisson(1, n), False),
        (lambda rng, n: rng.poisson(0.3, n), False),
        (lambda rng, n: rng.geometric(0.4, n) - 1, False),
        (lambda rng, n: rng.integers(0, 2, n), False),
        (lambda rng, n: zeros(rng.normal(size=n)), False),
        (lambda rng, n: zeros(rng.gamma(1, 3, n), 0.02), False),
    ],
)
def test_when_zeros_are_a_state_of_their_own(values, expected):
    for seed in range(5):
        column = tables.infer_schema(pd.DataFrame({"x": values(np.random.default_rng(seed), 200)})).columns[0]
        assert column.zero_inflated is expected


def test_zeros_are_learned_beside_the_values_above():
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    rain = zeros((10 * np.exp(0.3 * x)).round())
    frame = pd.DataFrame({"x": x, "rain": np.where(rng.random(600) < 0.2, np.nan, rain)})
    schema = tables.infer_schema(frame)
    assert tables.array_columns(schema) == ("x", "rain", "rain missing", "rain zero")
    array = tables.encode(frame, schema)
    assert ((array[:, 3] == 1) == (frame["rain"] == 0)).all()
    spread = tables.dequantise(jax.random.key(0), array, schema)
    assert spread[:, 1].min() > 0.5
    # Zero and missing cells hold values of similar rows, and missing cells are zero as often as others.
    assert np.corrcoef(spread[:, 0], np.log(spread[:, 1]))[0, 1] > 0.9
    gone = frame["rain"].isna().to_numpy()
    share = (spread[:, 3] > 0.5)[gone].mean()
    assert share == pytest.approx((spread[:, 3] > 0.5)[~gone].mean(), abs=4 * np.sqrt(0.25 / gone.sum()))
    rows = tables.decode(np.random.default_rng(1).normal(0, 1, (500, 4)), schema)["rain"]
    assert set(rows.dropna()) > {0, 1}
    # Tables that are judged have no bounds.
    unbounded = dataclasses.replace(schema.columns[1], lower=None)
    assert (tables.encode(frame, tables.Schema((schema.columns[0], unbounded))) == array).all()
    flagged = tables.decode(np.array([[0.0, 7.0, 0.0, 1.0], [0.0, -3.0, 0.0, 0.0]]), schema)["rain"]
    assert flagged.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["schema.json", "schema.yaml"])
def test_files_keep_schemas(frame, tmp_path, name):
    schema = tables.infer_schema(frame)
    column = dataclasses.replace(schema.columns[0], unit="m", categories=())
    schema = dataclasses.replace(schema, columns=(column, *schema.columns[1:]))
    tables.write_schema(tmp_path / name, schema)
    assert tables.read_schema(tmp_path / name) == schema
    with pytest.raises(ValueError, match="exists"):
        tables.write_schema(tmp_path / name, schema)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(kind="number"), "kind: expected one of"),
        (lambda c: c.update(dtype="float99"), "dtype: expected one of pandas"),
        (lambda c: c.update(dtype="str"), "dtype: expected one of continuous numbers"),
        (lambda c: c.update(dtype="bool"), "dtype: expected one of continuous numbers"),
        (lambda c: c.update(dtype="int64"), "dtype: expected one of continuous numbers"),
        (lambda c: c.update(decimals=1.5), "decimals: expected 0 to 12"),
        (lambda c: c.update(decimals=True), "decimals: expected a finite number"),
        (lambda c: c.update(increment=0.001), "increment: expected a positive multiple"),
        (lambda c: c.update(lower=3, upper=3), "expected lower < upper"),
        (lambda c: c.update(lower="0"), "lower: expected a finite number"),
        (lambda c: c.update(lower=float("nan")), "lower: expected a finite number"),
        (lambda c: c.update(unit=3), "unit: expected text"),
        (lambda c: c.update(categories="ab"), "categories"),
        (lambda c: c.update(categories=[[1]]), "categories: expected a list"),
        (lambda c: c.update(colour="red"), "column 0: expected"),
        (lambda c: c.pop("dtype"), "column 0: expected"),
        (lambda c: c.update(dtype="int64", missing="x"), "use Int64"),
        (lambda c: c.update(kind="categorical", categories=[]), "expected none in a categorical|at least one"),
        (lambda c: c.update(name=7), "name: expected text"),
        (lambda c: c.update(zero_inflated=1), "zero_inflated: expected true or false"),
        (lambda c: c.update(zero_inflated=True, lower=1), "zero_inflated: expected numbers and lower: 0"),
        (
            lambda c: c.update(zero_inflated=True, kind="boolean", dtype="bool", decimals=None, lower=None),
            "zero_inflated: expected numbers and lower: 0",
        ),
    ],
)
def test_wrong_schemas_are_named(frame, change, message):
    tree = schemas.to_json(tables.infer_schema(frame))
    change(tree["columns"][0])
    with pytest.raises(ValueError, match=message):
        schemas.from_json(tree)


def test_no_schema_text_raises_anything_else(frame):
    """Every field replaced by every odd value: a schema or a message."""
    tree = schemas.to_json(tables.infer_schema(frame))
    odd = [None, True, -1, 1.5, 1e300, float("nan"), "", "é", "category[x]", "datetime64[ns]", [], [None], [[1]], {}]
    messages = []
    for i, column in enumerate(tree["columns"]):
        for name in [f.name for f in dataclasses.fields(tables.Column)]:
            for value in odd:
                columns = [*tree["columns"][:i], column | {name: value}, *tree["columns"][i + 1 :]]
                try:
                    schema = schemas.from_json(tree | {"columns": columns})
                    tables.decode(tables.encode(frame, schema), schema)
                except ValueError as error:
                    messages.append(str(error))
    assert len(messages) > 400
    assert not [message for message in messages if "expected" not in message]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "other"}', '{"format": "jaxcop-schema-1", "columns": [3]}']
)
def test_files_that_hold_no_schema(tmp_path, text):
    (tmp_path / "schema.json").write_text(text)
    with pytest.raises(ValueError, match="expected"):
        tables.read_schema(tmp_path / "schema.json")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), "dates"),
        ([1 + 2j, 3j], "complex"),
        ([1.0, np.inf], "finite"),
        ([1.0, 1e101], "finite"),
        ([1, 2**53], r"2\*\*53"),
        ([1, -(2**63)], r"2\*\*53"),
        ([1, "a"], r"\['int', 'str'\]"),
    ],
)
def test_columns_that_no_schema_describes(values, message):
    with pytest.raises(ValueError, match=message):
        tables.infer_schema(pd.DataFrame({"x": values}))


def test_identifiers_are_not_categories():
    with pytest.raises(ValueError, match="identifiers"):
        tables.infer_schema(pd.DataFrame({"name": [f"person {i}" for i in range(60)]}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("site", "east", "column 'site': expected one of .* got 'east' in row 3"),
        ("burden", -1.0, "column 'burden': expected values from 0"),
        ("burden", np.nan, "column 'burden': expected no missing"),
        ("temperature", np.inf, "column 'temperature': expected finite"),
        ("crew", 5, "column 'crew': expected one of"),
    ],
)
def test_rows_that_do_not_fit_the_schema(frame, name, value, message):
    schema = tables.infer_schema(frame)
    frame.loc[3, name] = value
    with pytest.raises(ValueError, match=message):
        tables.encode(frame, schema)


def test_tables_of_other_columns(frame):
    schema = tables.infer_schema(frame)
    with pytest.raises(ValueError, match="expected the columns"):
        tables.encode(frame.drop(columns="site"), schema)
    with pytest.raises(ValueError, match="expected shape"):
        tables.decode(np.zeros((3, 2)), schema)
    reordered = frame[frame.columns[::-1]]
    pd.testing.assert_frame_equal(tables.decode(tables.encode(reordered, schema), schema), frame)
