"""Constraints: read, refused, kept; every row of every synthesizer keeps them, and what it costs is counted."""

import json
from fractions import Fraction

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxcop import checkpoint, synthesizers, tables
from jaxcop.tables import Column, Combinations, Custom, Order, Predicate, Ratio, Schema, Sum, bijections, checks
from jaxcop.tables import constraint as rule
from jaxcop.tables import constraints as types
from jaxcop.tables import schema_files as schemas


def number(name, **fields):
    return Column(name, "continuous", "float64", **fields)


def blasts(n=150, seed=0):
    """An order, a sum of columns, a fixed sum, a ratio and combinations in one table; no value is missing."""
    rng = np.random.default_rng(seed)
    burden = (rng.gamma(4, 0.5, n) + 0.5).round(2)
    spacing = np.maximum(np.ceil(burden * 10) / 10, (burden + rng.gamma(2, 0.3, n)).round(1))
    parts = np.array([rng.multinomial(1000, rng.dirichlet([1, 1, 1])) for _ in range(n)]) / 10
    rock = rng.choice(["granite", "marl"], n)
    frame = pd.DataFrame(
        {
            "burden": burden,
            "spacing": spacing,
            "S/B": (spacing / burden).round(2),
            "sand": parts[:, 0],
            "silt": parts[:, 1],
            "clay": parts[:, 2],
            "rows": rng.integers(1, 9, n),
            "extra": rng.integers(0, 50, n),
            "rock": rock,
            "wet": np.where(rock == "granite", rng.random(n) < 0.5, True),
        }
    )
    frame.insert(8, "holes", frame["rows"] + frame["extra"])
    return frame


RULES = (
    rule("burden <= spacing"),
    rule("`S/B` = spacing / burden"),
    rule("sand + silt + clay = 100"),
    rule("rows + extra = holes"),
    Combinations(("rock", "wet")),
)


def keeps(frame):
    """Whether every row keeps RULES, by whole numbers: nothing of this is the code under test."""
    burden, spacing, ratio = ((frame[name] * 100).round().astype(int) for name in ("burden", "spacing", "S/B"))
    parts = [(frame[name] * 10).round().astype(int) for name in ("sand", "silt", "clay")]
    # |ratio - spacing / burden| <= 0.005, times 200 * burden.
    ratios = (2 * ratio * burden - 200 * spacing).abs() <= burden
    return (
        (burden <= spacing)
        & ratios
        & (sum(parts) == 1000)
        & (np.minimum.reduce(parts) >= 0)
        & (frame["rows"] + frame["extra"] == frame["holes"])
        & ((frame["rock"] == "granite") | frame["wet"])
    )


@pytest.fixture(scope="module")
def frame():
    return blasts()


@pytest.fixture(scope="module")
def schema(frame):
    return Schema(tables.infer_schema(frame).columns, RULES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <= b", Order(("a", "b"))),
        ("a < b < c", Order(("a", "b", "c"), strict=True)),
        ("c >= b >= a", Order(("a", "b", "c"))),
        ("`S/B` > a", Order(("a", "S/B"), strict=True)),
        ("a + b + c = t", Sum(("a", "b", "c"), "t")),
        ("100 == a + b", Sum(("a", "b"), 100)),
        ("a + b = -0.5", Sum(("a", "b"), -0.5)),
        ("x = a / b", Ratio("x", "a", "b")),
        ("a / b == x", Ratio("x", "a", "b")),
        ("a <= 3", Predicate("a <= 3")),
        ("a <= b < c", Predicate("a <= b < c")),
        ("a + a = b", Predicate("a + a = b")),
        ("a = b", Predicate("a = b")),
        ("a - b = c", Predicate("a - b = c")),
        ("a / b = b", Predicate("a / b = b")),
        ("rock == 'a = b'", Predicate("rock == 'a = b'")),
    ],
)
def test_texts_are_read_as_the_most_special_type(text, expected):
    assert rule(text) == expected
    if text != "a + b = -0.5":
        assert rule(types.text(expected)) == expected


VALUES = {
    "x": np.array([0.0, 1.0, 2.0]),
    "y z": np.array([2.0, 1.0, -4.0]),
    "wet": np.array([True, False, True]),
    "rock": np.array(["p", "q", "or"], object),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x < 1.5", [1, 1, 0]),
        ("0 < x <= 1", [0, 1, 0]),
        ("x**2 + 1 > `y z` * 2 - x", [0, 1, 1]),
        ("abs(`y z`) == max(x, 2) * 2", [0, 0, 1]),
        ("min(x, -x) >= -1", [1, 1, 0]),
        ("sqrt(x) == 1 or exp(x) = 1", [1, 1, 0]),
        ("log(x) > 0", [0, 0, 1]),
        ("1 / x > 5", [1, 0, 0]),
        ("wet and not x == 2", [1, 0, 0]),
        ("wet == False or rock != 'p'", [0, 1, 1]),
        ("rock in ('p', \"or\")", [1, 0, 1]),
        ("x not in [1, 2]", [1, 0, 0]),
        ("rock in ()", [0, 0, 0]),
        ("9**9**9**9 > x", [1, 1, 1]),
    ],
)
def test_conditions_by_hand(text, expected):
    found = np.broadcast_to(tables.expressions.holds(text, VALUES), 3)
    assert found.tolist() == [bool(value) for value in expected]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch /tmp/x') == 0", "x.real > 0", "x[0] > 0", "(lambda: x)() > 0", "print(x) == 0",
        "[y for y in (1, 2)] == x", "(x := 3) > 0", "x if wet else x", "f'{x}' == rock", "x is wet", "x > 0 > wet",
        "rock < 'q'", "rock + 1 > 0", "wet + 1 > 0", "x and wet", "not x", "x == rock", "x", "min(x) > 0", "x > None",
        "max(x, key=x) > 0", "x > 1j", "x % 2 == 0", "x; wet", "x >", "", "x > 1" + "0" * 1000,
        "(" * 400 + "x" + ")" * 400 + " > 0", "x > " + "9" * 500, "nothing > 0", b"x > 0", "x in wet", "eval > 0",
    ],
)  # fmt: skip
def test_conditions_that_are_refused(text):
    with pytest.raises(ValueError, match="expected"):
        tables.expressions.holds(text, VALUES)


NUMBERS = tuple(number(name, lower=0, upper=60 if name == "u" else None) for name in "abctu")
KINDS = (*NUMBERS, Column("rock", "categorical", "str", ("p", "q")), Column("wet", "boolean", "bool"))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (("a <= nothing",), r"expected columns of .* got \['nothing'\]"),
        (("a <= b", "b <= c", "c <= a"), "without cycles"),
        (("a < b", "b <= a"), "without cycles"),
        (("a + b = t", "t = a / c"), "'t': expected one constraint that determines it"),
        (("a = b / c", "b = a / t"), "determine themselves, got a cycle"),
        (("rock <= a",), r"expected columns of numbers, got \['rock"),
        (("a + wet = t",), r"expected columns of numbers, got \['wet"),
        (("rock + 1 > a",), "expected a number, got a text"),
        (("a + b = -1",), "total between 0 and inf"),
        (("u + a = t", "a <= b", "a <= b"), "each once"),
        (("3 > 2",), "at least one column"),
        ((Combinations(("a", "rock")),), "expected categorical or boolean"),
        ((Combinations(("wet", "rock"), ((True, "z"),)),), "expected values of 'rock'"),
        (("a <= b", 3), "constraints: expected a tuple"),
    ],
)
def test_constraints_that_cannot_be(rules, message):
    with pytest.raises(ValueError, match=message):
        Schema(KINDS, tuple(rule(each) if isinstance(each, str) else each for each in rules))


def test_bounds_that_contradict_an_order():
    columns = number("a", lower=5), number("b"), number("c", upper=5)
    assert Schema(columns, (rule("a <= b <= c"),))
    with pytest.raises(ValueError, match="b < c to be possible"):
        Schema(columns, (rule("a < b < c"),))
    with pytest.raises(ValueError, match="to be possible"):
        Schema((number("a", lower=6), *columns[1:]), (rule("a <= b <= c"),))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Order(("a",)), lambda: Order(("a", "a")), lambda: Order(["a", "b"]), lambda: Order(("a", "b"), 1),
        lambda: Sum(("a", "b"), "a"), lambda: Sum(("a", "b"), float("nan")), lambda: Sum(("a", "b"), 1, -1),
        lambda: Ratio("a", "a", "b"), lambda: Ratio("a", "b", "c", "0"), lambda: Combinations(("a", "b"), (("x",),)),
        lambda: Predicate("a >"), lambda: Custom(3, "three"),
    ],
)  # fmt: skip
def test_fields_that_are_wrong(make):
    with pytest.raises(ValueError, match="expected"):
        make()


def test_violations_are_counted_and_missing_values_break_nothing():
    frame = pd.DataFrame(
        {
            "a": [1.0, 2.0, np.nan, 4.0, -1.0],
            "b": [1.0, 1.0, 5.0, np.nan, 3.0],
            "t": [2.0, 3.0, 1.0, 9.0, 2.5],
            "rock": ["p", "q", "p", None, "q"],
            "wet": [True, True, False, True, False],
        }
    )
    rules = ("a <= b", "a < b", "a + b = t", "t = a / b", "t > 2 or rock == 'p'", "not wet")
    allowed = Combinations(("rock", "wet"), (("p", True), ("q", False)))
    odd = Custom(lambda frame: frame["t"] < 5, "small totals")
    columns = tuple(c for c in tables.infer_schema(frame).columns)
    columns = (tables.schema.Column("a", "continuous", "float64", lower=0, upper=3, missing="a"), *columns[1:])
    counts = {}
    for each in (*map(rule, rules), allowed, odd):
        counts |= tables.violations(frame, Schema(columns, (each,)))
    assert counts == {
        "0 <= a <= 3": 2, "0 <= b": 0, "0 <= t": 0, "a <= b": 1, "a < b": 2, "a + b == t": 1, "t == a / b": 3,
        "t > 2 or rock == 'p'": 0, "not wet": 3, "combinations of rock, wet": 2, "small totals": 1,
    }  # fmt: skip


def test_sums_and_ratios_hold_up_to_the_rounding_of_what_they_determine():
    columns = number("a"), number("b"), number("t", decimals=1), number("x", decimals=2)
    frame = pd.DataFrame({"a": [0.11, 0.15, 0.11], "b": [0.2, 0.2, 0.2], "t": [0.3, 0.3, 0.4], "x": [0.55, 0.75, 0.56]})
    counts = tables.violations(frame, Schema(columns, (rule("a + b = t"), rule("x = a / b"))))
    assert counts == {"a + b == t": 1, "x == a / b": 1}
    loose = Schema(columns, (Sum(("a", "b"), "t", tolerance=0.05), Ratio("x", "a", "b", tolerance=0.01)))
    assert not any(tables.violations(frame, loose).values())


def test_floats_of_both_widths_compare_as_they_are_written():
    columns = number("a"), Column("b", "continuous", "float32", decimals=1)
    frame = pd.DataFrame({"a": [0.1, 0.2, 0.3], "b": np.array([0.1, 0.2, 0.3], np.float32)})
    for text in ("a <= b", "b <= a", "a = b"):
        assert not any(tables.violations(frame, Schema(columns, (rule(text),))).values())


GRIDS = st.sampled_from([{"decimals": 2}, {"decimals": 1}, {"decimals": 1, "increment": 0.5}, {"kind": "integer"}])


@st.composite
def constrained(draw):
    """A table of seven numbers on random grids with chains, sums and a ratio, some rows missing together."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, missing, strict = 12, draw(st.booleans()), draw(st.booleans())
    drawn = {name: draw(GRIDS) for name in "abcpt"}
    steps = {name: Fraction(g.get("increment", 10 ** -g.get("decimals", 0))).limit_denominator(100)
             for name, g in drawn.items()}  # fmt: skip
    upper = draw(st.sampled_from([None, 40]))

    def above(name, floor):
        """Random multiples of the step above ``floor``, at it now and then."""
        first = [-(-f // steps[name]) for f in floor]
        if strict:
            first = [k + (k * steps[name] == f) for k, f in zip(first, floor, strict=True)]
        return [int(k + rng.integers(0, 3) * rng.integers(0, 9)) * steps[name] for k in first]

    a = above("a", [Fraction(0)] * n)
    b = above("b", a)
    c = above("c", b)
    whole = Fraction(100)
    p = [int(rng.integers(0, 101)) * Fraction(1, 2) for _ in range(n)]
    q = [int(rng.integers(0, 2 * (whole - x) + 1)) * Fraction(1, 2) for x in p]
    columns = dict(zip("abcpq", (a, b, c, p, q), strict=True))
    columns["r"] = [whole - x - y for x, y in zip(p, q, strict=True)]
    columns["t"] = [x + y for x, y in zip(a, c, strict=True)]
    frame = pd.DataFrame({name: [float(v) for v in values] for name, values in columns.items()})
    word = None
    if missing:
        word, gone = "w", rng.random(n) < 0.3
        gone[:2] = True, False
        frame.loc[gone, ["a", "b", "c", "t"]] = np.nan
    grids = {name: drawn[name] for name in "abc"} | {key: {"decimals": 1, "increment": 0.5} for key in "pqr"}
    schema = []
    for name in frame:
        fields = {"kind": "continuous", "dtype": "float64", "lower": 0, **grids.get(name, {"decimals": 2})}
        limit = upper if name == "c" and not frame["c"].max() > 40 else None
        schema.append(Column(name, **fields, upper=limit, missing=word if name in "abct" else None))
    order = Order(("a", "b", "c"), strict)
    rules = [order, Sum(("p", "q", "r"), 100), Sum(("a", "c"), "t")]
    return frame, Schema(tuple(schema), tuple(draw(st.permutations(rules))))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(constrained(), st.integers(0, 2**31))
def test_the_way_there_and_back_is_exact_and_any_floats_give_rows_that_keep_all(case, seed):
    frame, schema = case
    checks.check_rows(frame, schema)
    free = bijections.plan(schema).free
    x = tables.encode(bijections.to_free(frame, schema), free)
    for array in (x, tables.dequantise(jax.random.key(seed % 7), x, free)):
        back, possible = bijections.restore(tables.decode(array, free), schema)
        assert possible.all()
        pd.testing.assert_frame_equal(back, frame, check_exact=True)
    # Without bounds above a chain nothing is impossible.
    noise = np.random.default_rng(seed).normal(0, 3, (200, x.shape[1])) ** 3
    rows, possible = bijections.restore(tables.decode(noise, free), schema)
    found = checks.kept(rows, schema)
    assert all((holds | ~possible).all() for holds in found.values())
    if schema.columns[2].upper is None:
        assert possible.all()
    good = rows[possible].dropna()
    exact = (good * 100).round().astype(int)
    assert ((exact / 100 - good).abs() < 1e-9).all().all()
    strict = next(each.strict for each in schema.constraints if isinstance(each, Order))
    for low, high in (("a", "b"), ("b", "c")):
        assert (exact[low] + strict <= exact[high]).all()
    assert (exact["p"] + exact["q"] + exact["r"] == 10_000).all()
    assert (exact["a"] + exact["c"] == exact["t"]).all()


def test_the_way_there_and_back_of_numbers_without_decimals():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)})
    frame["c"] = np.maximum(frame["a"], frame["b"]) + rng.exponential(size=200)
    frame["x"], frame["t"] = frame["a"] / frame["c"], frame["a"] + frame["b"] + frame["c"]
    rules = tuple(map(rule, ("a < c", "b < c", "x = a / c", "a + b + c = t")))
    schema = Schema(tuple(number(name) for name in frame), rules)
    free = bijections.plan(schema).free
    assert [column.name for column in free.columns] == ["a", "b", "c above a, b"]
    back, possible = bijections.restore(bijections.to_free(frame, schema), schema)
    assert possible.all()
    pd.testing.assert_frame_equal(back, frame, rtol=1e-13, atol=1e-14)
    assert not any(tables.violations(back, schema).values())


@pytest.mark.parametrize(
    ("rules", "words", "free"),
    [
        # What is missing alone cannot carry the other: the order turns round, or is left to rejection.
        (("a <= b",), {"a": "w"}, ["a below b", "b"]),
        (("a <= b",), {"b": "w"}, ["a", "b above a"]),
        (("a <= b",), {"a": "w", "b": "w"}, ["a", "b above a"]),
        (("a <= b",), {"a": "w", "b": "v"}, ["a", "b"]),
        (("a + b = t",), {"t": "w"}, ["a", "b", "t"]),
        (("a + b = t",), {"a": "w", "t": "w"}, ["a", "b"]),
        (("a + b = t", "t <= c"), {}, ["a", "b", "c above t"]),
        (("a + b = t", "c <= t"), {}, ["a", "b", "c below t"]),
        # Both are determined already: rejection.
        (("a + b = t", "x = c / d", "x <= t"), {}, ["a", "b", "c", "d"]),
        (("a <= b", "a <= c", "b <= d", "c <= d"), {}, ["a", "b above a", "c above a", "d above b, c"]),
    ],
)
def test_which_columns_are_learned(rules, words, free):
    used = dict.fromkeys(name for each in map(rule, rules) for name in types.involved(each))
    schema = Schema(tuple(number(name, missing=words.get(name)) for name in sorted(used)), tuple(map(rule, rules)))
    assert [column.name for column in bijections.plan(schema).free.columns] == free


def test_a_constant_total_column_is_a_number():
    frame = pd.DataFrame({"a": [10.0, 30.0, 55.0], "b": [90.0, 70.0, 45.0], "t": [100.0] * 3})
    schema = Schema(tables.infer_schema(frame).columns, (rule("a + b = t"),))
    assert [column.name for column in bijections.plan(schema).free.columns] == ["share of a", "t"]
    back, _ = bijections.restore(bijections.to_free(frame, schema), schema)
    pd.testing.assert_frame_equal(back, frame)


def test_the_finest_part_makes_up_for_the_rounding_of_the_others():
    columns = (
        number("a", decimals=2, lower=0),
        number("b", decimals=1, lower=0),
        Column("c", "integer", "int64", lower=0),
    )
    schema = Schema(columns, (rule("a + b + c = 10"),))
    free = bijections.plan(schema).free
    noise = np.random.default_rng(0).uniform(size=(300, 2))
    rows, possible = bijections.restore(tables.decode(noise, free), schema)
    assert possible.all()
    cents = (rows * 100).round().astype(int)
    assert (cents.sum(axis=1) == 1000).all()
    assert (cents % [1, 10, 100] == 0).all().all()


def test_each_grid_point_between_two_bounds_has_an_equal_share():
    columns = (Column("a", "integer", "int64", lower=0), Column("b", "integer", "int64", lower=0))
    schema = Schema(columns, (rule("a + b = 3"),))
    shares = pd.DataFrame({bijections.plan(schema).free.columns[0].name: (np.arange(400) + 0.5) / 400})
    rows, _ = bijections.restore(shares, schema)
    assert rows["a"].value_counts().to_dict() == {0: 100, 1: 100, 2: 100, 3: 100}


def test_a_ratio_by_zero_is_no_row():
    schema = Schema((number("a"), number("b"), number("x")), (rule("x = a / b"),))
    rows, possible = bijections.restore(pd.DataFrame({"a": [1.0, 0.0, 3.0], "b": [0.0, 0.0, 2.0]}), schema)
    assert possible.tolist() == [False, False, True]
    assert rows["x"][2] == 1.5
    assert tables.violations(pd.DataFrame({"a": [1.0], "b": [0.0], "x": [np.inf]}), schema) == {"x == a / b": 1}


def test_files_keep_constraints(tmp_path):
    rules = (
        rule("a <= b"), rule("a + b = t"), Order(("a", "c"), True), Ratio("c", "a", "b", tolerance=0.01),
        Combinations(("rock", "wet"), (("p", True), ("q", False))), Combinations(("wet", "rock")),
        Predicate("u > 3"), Sum(("u", "c"), -1.5, 1.0), Predicate("b >= a"),
    )  # fmt: skip
    free = tuple(number(column.name) for column in NUMBERS)
    schema = Schema((*free, *KINDS[5:]), rules)
    for name in ("schema.json", "schema.yaml"):
        tables.write_schema(tmp_path / name, schema)
        assert tables.read_schema(tmp_path / name) == schema
    tree = json.loads((tmp_path / "schema.json").read_text())
    assert tree["constraints"][:3] == ["a <= b", "a + b == t", "a < c"]
    with pytest.raises(ValueError, match="a Python function; write it as a Predicate"):
        tables.write_schema(tmp_path / "new.json", Schema(NUMBERS, (Custom(len, "odd"),)))
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize(
    "entry",
    [3, None, [], {}, "a <=", "a <= nothing", {"type": "order"}, {"type": "custom", "function": "len", "name": "n"},
     {"type": "order", "columns": "ab"}, {"type": "order", "columns": ["a", "b"], "more": 1}, {"type": ["sum"]},
     {"type": "sum", "parts": ["a", "b"], "total": True}, {"type": "combinations", "columns": ["rock", "wet"],
     "allowed": [["p"]]}, {"type": "combinations", "columns": ["rock", "wet"], "allowed": [["p", {}]]}, "x" * 2000,
     {"type": "combinations", "columns": ["rock", "wet"], "allowed": [["p", [1]]]},
     {"type": "predicate", "expression": 3}, {"type": "sum", "parts": ["a", "b"], "total": 1, "tolerance": "x"}],
)  # fmt: skip
def test_entries_of_files_that_are_wrong(entry):
    tree = schemas.to_json(Schema(KINDS))
    with pytest.raises(ValueError, match="expected"):
        schemas.from_json(tree | {"constraints": [entry]})
    with pytest.raises(ValueError, match="constraints: expected a list"):
        schemas.from_json(tree | {"constraints": {"a": "b"}})


@pytest.mark.parametrize("name", ["smoothed", "independent"])
def test_synthetic_rows_keep_all_without_rejection(frame, schema, name):
    assert keeps(frame).all()
    model = synthesizers.fit_table(jax.random.key(0), frame, schema, name)
    report = synthesizers.Acceptance()
    rows = synthesizers.sample_table(jax.random.key(1), model, 3000, report=report)
    assert len(rows) == 3000
    assert (rows.dtypes == frame.dtypes).all()
    assert list(rows.columns) == list(frame.columns)
    assert keeps(rows).all()
    assert report.rate > 0.9
    assert not report.retrain
    seen = set(zip(frame["rock"], frame["wet"], strict=True))
    assert set(zip(rows["rock"], rows["wet"], strict=True)) == seen
    for column in ("burden", "spacing", "sand", "silt", "clay", "holes"):
        error = frame[column].std() / np.sqrt(len(frame))
        assert abs(rows[column].mean() - frame[column].mean()) < 4 * error


def test_chunks_keys_and_files_give_the_same_rows(frame, schema, tmp_path, monkeypatch):
    rules = (*schema.constraints, rule("burden + spacing <= 6"))
    kept = frame[frame["burden"] + frame["spacing"] <= 6]
    model = synthesizers.fit_table(jax.random.key(0), kept, Schema(schema.columns, rules), "smoothed")
    checkpoint.save(tmp_path / "model", model)
    loaded = checkpoint.load(tmp_path / "model")
    assert loaded.schema == model.schema
    assert loaded.schema.constraints[4].allowed
    monkeypatch.setattr(synthesizers.tables, "CHUNK", 1000)
    report = synthesizers.Acceptance()
    chunks = list(synthesizers.sample_chunks(jax.random.key(1), model, 2500, report=report))
    assert len(chunks) > 2
    assert report.accepted < report.proposed == 1000 * len(chunks)
    together = synthesizers.sample_table(jax.random.key(1), loaded, 2500)
    pd.testing.assert_frame_equal(tables.concatenate(chunks), together)
    other = synthesizers.sample_table(jax.random.key(2), model, 2500)
    assert (other["burden"] != together["burden"]).any()
    assert (together["burden"] + together["spacing"]).max() <= 6 + 1e-9


def test_rejection_is_counted_and_ends():
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    frame = pd.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=100)})
    # Columns drawn apart keep this in a share of rows that is known: the share of pairs of training rows that do.
    near = Predicate("abs(x - y) < 0.5")
    columns = tables.infer_schema(frame).columns
    model = synthesizers.fit_table(jax.random.key(0), frame, Schema(columns, (near,)), "independent")
    report = synthesizers.Acceptance()
    rows = synthesizers.sample_table(jax.random.key(1), model, 500, report=report)
    expected = (np.abs(frame["x"].to_numpy()[:, None] - frame["y"].to_numpy()) < 0.5).mean()
    assert report.rate == pytest.approx(expected, abs=4 * np.sqrt(expected / report.proposed))
    assert report.retrain
    assert len(rows) == 500
    assert (rows["x"] - rows["y"]).abs().max() < 0.5
    last = Custom(lambda frame: (frame["x"] > 99).to_numpy(), "far out")
    never = model._replace(schema=Schema(columns, (last,)))
    with pytest.raises(ValueError, match="most break 'far out'"):
        synthesizers.sample_table(jax.random.key(1), never, 5)
    with pytest.raises(ValueError, match="a Python function; write it as an expression"):
        checkpoint.save("never", never)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spacing <= burden", r"'spacing <= burden': expected to hold in every row, got \d+ of 150 rows where"),
        ("burden > 2 and burden < 2", r"got 150 of 150 rows where it does not, first row 0 \(burden = "),
        ("sand + silt + clay = 90", "got 150 of 150 rows"),
    ],
)
def test_training_rows_that_break_a_constraint(frame, text, words):
    schema = Schema(tables.infer_schema(frame).columns, (rule(text),))
    with pytest.raises(ValueError, match=words):
        synthesizers.fit_table(jax.random.key(0), frame, schema, "smoothed")


def test_functions_that_do_not_say_true_or_false(frame):
    schema = Schema(tables.infer_schema(frame).columns, (Custom(lambda frame: frame["burden"], "odd"),))
    with pytest.raises(ValueError, match="expected true or false for each of 150 rows"):
        tables.violations(frame, schema)
    with pytest.raises(ValueError, match="expected the columns"):
        tables.violations(frame.drop(columns="rock"), schema)
    with pytest.raises(ValueError, match="expected numbers"):
        tables.violations(frame.assign(burden="x"), schema)


def test_nothing_piles_up_at_a_bound():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.exponential(size=300), "n": rng.integers(0, 4, 300), "y": rng.uniform(size=300)})
    columns = [*tables.infer_schema(frame).columns[:2], number("y", lower=0, upper=1)]
    model = synthesizers.fit_table(jax.random.key(0), frame, Schema(tuple(columns)), "smoothed")
    rows = synthesizers.sample_table(jax.random.key(1), model, 5000)
    assert not rows[["x", "y"]].isin([0, 1]).any().any()
    assert (rows["n"] == 0).mean() == pytest.approx((frame["n"] == 0).mean(), abs=0.04)


@pytest.mark.slow
def test_a_million_rows_break_nothing(frame, schema):
    model = synthesizers.fit_table(jax.random.key(0), frame, schema)
    report, count = synthesizers.Acceptance(), 0
    for chunk in synthesizers.sample_chunks(jax.random.key(1), model, 1_000_000, report=report):
        assert keeps(chunk).all()
        assert not any(tables.violations(chunk, model.schema).values())
        count += len(chunk)
    assert count == 1_000_000
    assert report.rate > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["copula_gaussian", "copula_student_t", "vae", "vae_gmm", "bootstrap"])
def test_every_synthesizer_keeps_all(frame, schema, name):
    model = synthesizers.fit_table(jax.random.key(0), frame, schema, name)
    report = synthesizers.Acceptance()
    rows = synthesizers.sample_table(jax.random.key(1), model, 5000, report=report)
    assert keeps(rows).all()
    assert report.rate > 0.9
