"""Tables, schemas, models and paths that no command may take, each from a number."""

import json
import random
from pathlib import Path

import jax.numpy as jnp
from jaxcop import checkpoint, synthesizers, tables
from jaxcop.copulas import clayton

GOOD = "site,x,n,ok\n" + "".join(f"{'pqr'[i % 3]},{i * 0.37 % 5:.2f},{i * 7 % 11},{i % 2 == 0}\n" for i in range(30))


def cells_of(chance: random.Random) -> list[list[str]]:
    """A header and rows of numbers, words, whole numbers and truth values, some missing."""
    names = [f"{chance.choice(['x', 'y', 'Tiefe ü', 'a b', 'S/B'])}{j}" for j in range(chance.randint(2, 6))]
    rows = [[f"{chance.gauss(0, 3):.3f}" for _ in names] for _ in range(chance.randint(4, 40))]
    for row in rows[2:]:
        if chance.random() < 0.1:
            row[0] = ""
    return [names, *rows]


def text_of(cells: list[list[str]], end: str = "\n") -> str:
    return end.join(",".join(row) for row in cells) + end


def _at_random(chance: random.Random, cells: list[list[str]]) -> tuple[int, int]:
    return chance.randrange(1, len(cells)), chance.randrange(len(cells[0]))


# Tables: each returns the bytes of a file that no command may read.


def empty(chance):
    return chance.choice([b"", b"\n", b" \n\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n\n", b"\r\n" * 9])


def header_only(chance):
    return text_of(cells_of(chance)[:1]).encode()


def other_encoding(chance):
    cells = cells_of(chance)
    i, j = _at_random(chance, cells)
    cells[i][j] = "Größe"
    encoding = chance.choice(["utf-16", "utf-32", "latin-1", "cp1252", "utf-16-le"])
    return text_of(cells).encode(encoding)


def broken_utf8(chance):
    raw = bytearray(text_of(cells_of(chance)).encode())
    raw.insert(chance.randrange(1, len(raw)), chance.choice([0xFF, 0xC0, 0xFE, 0x80]))
    return bytes(raw)


def late_mark(chance):
    """Two files with byte-order marks in one: the second header is a row of text among numbers."""
    text = text_of(cells_of(chance)).encode("utf-8-sig")
    return text + text


def nul_byte(chance):
    raw = bytearray(text_of(cells_of(chance)).encode())
    raw.insert(chance.randrange(len(raw)), 0)
    return bytes(raw)


def binary(chance):
    return chance.choice([b"PK\x03\x04", b"\x89PNG\r\n", b"\x1f\x8b\x08", b"SQLite format 3\0", b"%PDF-1.7\xe2\n"]) + (
        chance.randbytes(chance.randint(50, 2000)) + b"\xff\0"
    )


def ragged(chance):
    cells = cells_of(chance)
    i, j = _at_random(chance, cells)
    cells[i] = cells[i] + ["1"] * chance.randint(1, 3) if chance.random() < 0.5 else cells[i][: max(1, j)]
    if len(cells[i]) == len(cells[0]):
        cells[i].append("1")
    cells[i][0] = cells[i][0] or "1"
    return text_of(cells, chance.choice(["\n", "\r\n"])).encode()


def repeated_name(chance):
    cells = cells_of(chance)
    cells[0][-1] = cells[0][0]
    return text_of(cells).encode()


def nameless(chance):
    cells = cells_of(chance)
    cells[0][chance.randrange(len(cells[0]))] = chance.choice(["", " ", '""', "\t"])
    return text_of(cells).encode()


def mixed_types(chance):
    cells = cells_of(chance)
    i, j = _at_random(chance, cells)
    cells[i][j] = chance.choice(
        ["soon", "<0.5", "1.2.3", "12 m", "3,5".replace(",", ";"), "1 000", "True", "#REF!", "0x1F", "١٢x"]
    )
    return text_of(cells).encode()


def broken_quotes(chance):
    cells = cells_of(chance)
    i, j = _at_random(chance, cells)
    cells[i][j] = chance.choice(['"open', '"a"b', '"x""', '"1" 2'])
    return text_of(cells).encode()


def other_separator(chance):
    return text_of(cells_of(chance)).replace(",", chance.choice([";", "\t"])).encode()


def huge_cell(chance):
    cells = cells_of(chance)
    i, j = _at_random(chance, cells)
    cells[i][j] = "9" * chance.choice([140_000, 200_000])
    return text_of(cells).encode()


def huge_number(chance):
    cells = cells_of(chance)
    i, j = _at_random(chance, cells)
    cells[i][j] = chance.choice(["1e200", "-1e308", "1e999", "inf", "-Infinity", "9" * 400])
    return text_of(cells).encode()


def one_row(chance):
    return text_of(cells_of(chance)[:2]).encode()


# A table that is fine but for what `fit` says of it.


def formula(chance):
    cells = cells_of(chance)
    bad = chance.choice(["=1+1", "@SUM(A1)", "+cmd", "=HYPERLINK(0)", "-cmd()", " =A1", "=cmd|' /C calc'!A0"])
    if chance.random() < 0.3:
        cells[0][0] = bad
    for i, row in enumerate(cells[1:]):
        row[1] = bad if i == 1 else chance.choice(["p", "q"])
    return text_of(cells).encode()


def identifiers(chance):
    return ("id,x\n" + "".join(f"blast {i} {chance.random()},{i}\n" for i in range(chance.randint(55, 90)))).encode()


def one_varies(chance):
    value = chance.choice(["1", "a", "True", "", "0.5"])
    return ("x,y\n" + "".join(f"{i},{value}\n" for i in range(chance.randint(3, 20)))).encode()


def all_missing(chance):
    return ("x,y\n" + ",\n" * chance.randint(2, 20)).encode()


def long_integers(chance):
    return ("x,y\n" + "".join(f"{2**60 + i},{i % 5}\n" for i in range(chance.randint(3, 20)))).encode()


UNREADABLE = (
    empty, header_only, other_encoding, broken_utf8, late_mark, nul_byte, binary, ragged, repeated_name, nameless,
    mixed_types, broken_quotes, other_separator, huge_cell,
)  # fmt: skip
UNMODELLED = (huge_number, one_row, identifiers, long_integers)
UNFIT = (formula, one_varies, all_missing)

# Schemas: each returns a file name and its text; the table beside it is fine.


def good_schema() -> dict:
    columns = [
        {"name": "site", "kind": "categorical", "dtype": "str", "categories": ["p", "q", "r"]},
        {"name": "x", "kind": "continuous", "dtype": "float64", "decimals": 2, "lower": 0},
        {"name": "n", "kind": "integer", "dtype": "int64"},
        {"name": "ok", "kind": "boolean", "dtype": "bool"},
    ]
    return {"format": "jaxcop-schema-1", "columns": columns}


WRONG_VALUES = (
    None, 3, -1.5, True, "", "x" * 500, [], {}, [[1]], {"a": 1}, float("nan"), float("inf"), 10**400, "float64]",
    "category[", "period[D]", "\u0000", [None], ["a", "a"],
)  # fmt: skip


def wrong_field(chance):
    """A field that is none, or has a value of another type."""
    tree = good_schema()
    column = chance.choice(tree["columns"])
    name = chance.choice(["name", "kind", "dtype", "ordered", "decimals", "increment"])
    allowed = {"name": (), "kind": (), "dtype": (), "ordered": (True,), "decimals": (None, 3), "increment": (None, 3)}[
        name
    ]
    column[name] = chance.choice([value for value in WRONG_VALUES if not any(value is other for other in allowed)])
    return "schema.json", json.dumps(tree)


def wrong_bounds(chance):
    tree = good_schema()
    tree["columns"][1] |= chance.choice(
        [{"lower": 3, "upper": 3}, {"lower": 2, "upper": 1}, {"upper": -1}, {"lower": "0"}, {"lower": True},
         {"upper": 1e300}, {"decimals": 99}, {"increment": -1}, {"increment": 0.001}, {"lower": [0]},
         {"categories": ["a"]}]
    )  # fmt: skip
    return "schema.json", json.dumps(tree)


def wrong_columns(chance):
    tree = good_schema()
    change = chance.choice(["drop", "add", "repeat", "empty", "unknown field", "missing field", "text"])
    if change == "drop":
        tree["columns"].pop(chance.randrange(4))
    elif change == "add":
        tree["columns"].append({"name": "z", "kind": "integer", "dtype": "int64"})
    elif change == "repeat":
        tree["columns"].append(tree["columns"][0])
    elif change == "empty":
        tree["columns"] = []
    elif change == "unknown field":
        tree["columns"][0]["colour"] = "red"
    elif change == "missing field":
        del tree["columns"][0][chance.choice(["name", "kind", "dtype"])]
    else:
        tree["columns"][chance.randrange(4)] = chance.choice(["x", None, 3, [], [1]])
    return "schema.json", json.dumps(tree)


def other_categories(chance):
    tree = good_schema()
    tree["columns"][0]["categories"] = chance.choice([["p"], ["p", "q"], ["P", "Q", "R"], [1, 2, 3], []])
    return "schema.json", json.dumps(tree)


def no_json(chance):
    whole = json.dumps(good_schema())
    return "schema.json", chance.choice(
        [whole[: chance.randrange(len(whole))], "", "null", "3", "[]", "{}", '"text"', "[" * 100_000, "{" * 3000,
         "\ufeff", whole + "}", whole.replace(":", "="), "1" * 5000, '{"format": "jaxcop-schema-1", "columns": {}}',
         '{"format": "other", "columns": []}', whole.replace("[", "[,", 1), '{"a":' * 5000]
    )  # fmt: skip


def no_yaml(chance):
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, chance.randint(9, 12))
    )
    names = "format: jaxcop-schema-1\ncolumns:\n"
    column = "- name: site\n  kind: categorical\n  dtype: str\n  categories: "
    return "schema." + chance.choice(["yaml", "yml"]), chance.choice(
        [bomb, bomb + names + column + "*a8\n", bomb + names + "- *a8\n",
         bomb + "columns: *a8\nformat: jaxcop-schema-1\n",
         "format: &f [*f]\n", names + "- &c {name: *c}\n", names + column + "&c [*c]\n", names + "- <<: *nothing\n",
         "!!python/object/apply:os.system ['true']\n", names + column + "!!python/name:os.system\n",
         names + column + "!!binary aGVsbG8=\n", names + column + "[2020-01-01]\n", names + column + "!!set {p, q}\n",
         "{" * 2000, "- " * 2000, "a: b: c", "\t- x", "%YAML 9.9\n---\nx", "--- a\n--- b\n",
         names + "? [1, 2]\n: 3\n", names + column + "{p: 1}\n", "\0"]
    )  # fmt: skip


def no_text(chance):
    return "schema." + chance.choice(["json", "yaml"]), chance.randbytes(chance.randint(10, 300)) + b"\xff\xfe\0"


SCHEMAS = (wrong_field, wrong_bounds, wrong_columns, other_categories, no_json, no_yaml, no_text)

# Paths that hold no table, schema or model.


def _bad_path(chance: random.Random, folder: Path) -> Path:
    kind = chance.choice(["none", "folder", "inside a file", "long", "loop", "dangling", "device", "nul", "blank"])
    if kind == "folder":
        (folder / "sub").mkdir()
        return folder / "sub"
    if kind == "loop":
        (folder / "loop").symlink_to("loop")
        return folder / "loop"
    if kind == "dangling":
        (folder / "dangling").symlink_to("nowhere")
        return folder / "dangling"
    named = {"none": "none.csv", "inside a file": "good.csv/a.csv", "long": "a" * 300, "nul": "a\0b.csv", "blank": " "}
    return Path("/dev/zero") if kind == "device" else folder / named[kind]


def _bad_out(chance: random.Random, folder: Path) -> Path:
    kind = chance.choice(["exists", "folder", "inside a file", "long"])
    (folder / "kept").write_text("kept")
    if kind == "folder":
        (folder / "sub").mkdir()
        (folder / "sub" / "kept").write_text("kept")
        return folder / "sub"
    return folder / {"exists": "kept", "inside a file": "kept/model", "long": "a" * 300}[kind]


def _bad_model(chance: random.Random, folder: Path) -> Path:
    path = folder / "bad model"
    good = (folder / "model").read_bytes()
    raw = bytearray(good)
    kind = chance.choice(["cut", "flip", "table", "random", "empty", "other", "unknown", "length", "json"])
    if kind == "cut":
        raw = raw[: chance.randrange(len(raw))]
    elif kind == "flip":
        raw[chance.randrange(8, len(raw))] ^= 0x80
    elif kind == "table":
        raw = GOOD.encode()
    elif kind == "random":
        raw = chance.randbytes(chance.randint(1, 2000))
    elif kind == "empty":
        raw = b""
    elif kind == "length":
        raw[:8] = chance.randbytes(8)
    elif kind == "json":
        raw = json.dumps(good_schema()).encode()
    path.write_bytes(raw)
    if kind == "other":
        checkpoint.save(path, clayton.Params(jnp.float32(2.0)), overwrite=True)
    elif kind == "unknown":
        schema = tables.infer_schema(tables.read_csv(folder / "good.csv"))
        checkpoint.save(path, synthesizers.TableModel(schema, "gan", 9, ()), overwrite=True)
    return path


def command(seed: int, folder: Path) -> tuple[str, list]:
    """The name of case ``seed``, and arguments of a command that must be refused."""
    chance = random.Random(seed)
    (folder / "good.csv").write_text(GOOD)
    good, new, bad = folder / "good.csv", folder / "new" / "out", folder / "bad.csv"
    kind = ("unreadable", "unmodelled", "unfit", "schema", "schema", "path", "out", "model", "evaluate", "evaluate")[
        seed % 10
    ]
    if kind in ("unreadable", "unmodelled", "unfit", "evaluate"):
        makers = {"unmodelled": UNMODELLED, "unfit": UNFIT}.get(kind, UNREADABLE)
        maker = chance.choice(makers)
        bad.write_bytes(maker(chance))
        if kind != "evaluate":
            fit = ["fit", bad, "--out", new, "--seed", 0]
            return maker.__name__, fit if kind == "unfit" or chance.random() < 0.5 else ["schema", bad, "--out", new]
        files = [good, good, good]
        files[chance.randrange(3)] = bad
        return f"evaluate {maker.__name__}", _evaluate(files, new)
    if kind == "schema":
        maker = chance.choice(SCHEMAS)
        name, text = maker(chance)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        options = ["--schema", folder / name]
        if maker in (no_json, no_yaml, no_text) and chance.random() < 0.3:
            return maker.__name__, [*_evaluate([good, good, good], new), *options]
        return maker.__name__, ["fit", good, "--out", new, "--seed", 0, *options]
    if kind == "path":
        path = _bad_path(chance, folder)
        return "path", chance.choice(
            [["fit", path, "--out", new, "--seed", 0], ["schema", path, "--out", new],
             ["sample", path, "--rows", 5, "--out", new, "--seed", 0], _evaluate([good, path, good], new),
             ["fit", good, "--out", new, "--seed", 0, "--schema", path]]
        )  # fmt: skip
    if kind == "out":
        path = _bad_out(chance, folder)
        return "out", chance.choice(
            [
                ["fit", good, "--out", path, "--seed", 0],
                ["schema", good, "--out", path],
                _evaluate([good, good, good], path),
            ]
        )
    schema = tables.infer_schema(tables.read_csv(good))
    checkpoint.save(folder / "model", synthesizers.TableModel(schema, "bootstrap", 30, (jnp.arange(6.0),)))
    return "model", ["sample", _bad_model(chance, folder), "--rows", 5, "--out", new, "--seed", 0]


def _evaluate(files: list[Path], out: Path) -> list:
    train, holdout, synthetic = files
    return ["evaluate", "--train", train, "--holdout", holdout, "--synthetic", synthetic, "--out", out]
