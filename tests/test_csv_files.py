"""CSV files: read as they are or refused with the line at fault; written whole, without formulas."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from jaxcop import tables
from jaxcop.tables import csv_files
from jaxcop.tables.csv_files import formulas


def test_reads_what_was_written(tmp_path):
    text = 'site,x,n,ok\n"a, b",0.1,3,True\nü,1e-3,,False\n\n"line\nbreak",2.675,-7,True\n'
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    frame = tables.read_csv(tmp_path / "a.csv")
    assert frame["site"].tolist() == ["a, b", "ü", "line\nbreak"]
    assert frame["x"].tolist() == [0.1, 0.001, 2.675]
    assert frame["n"].dtype == "Int64"
    assert frame["ok"].dtype == bool
    tables.write_csv(tmp_path / "b.csv", [frame[:1], frame[1:]])
    pd.testing.assert_frame_equal(tables.read_csv(tmp_path / "b.csv"), frame)


def test_whole_numbers_with_a_point_stay_floats(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1.0,1\n,2\n")
    assert tables.read_csv(tmp_path / "a.csv")["x"].dtype == "float64"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a pipe or device"):
        tables.read_csv(tmp_path / "pipe" if kind == "pipe" else "/dev/zero")


def test_a_sample_is_uniform_and_keeps_rows_whole(tmp_path):
    frame = pd.DataFrame({"x": np.arange(8) / 4, "name": [f'"{i}",' for i in range(8)], "n": range(8)})
    tables.write_csv(tmp_path / "a.csv", [frame])
    drawn = np.zeros(8)
    samples = []
    for seed in range(60):
        rows, total = tables.read_sample(tmp_path / "a.csv", 4, seed)
        assert (len(rows), total) == (4, 8)
        pd.testing.assert_frame_equal(rows, frame.iloc[rows["n"]].reset_index(drop=True))
        assert rows["n"].is_monotonic_increasing
        drawn[rows["n"]] += 1
        samples.append(rows)
    # 60 draws of half the rows: 30 times each, standard deviation sqrt(60 / 4) = 3.9.
    assert np.abs(drawn - 30).max() < 4.5 * 3.9
    assert len({tuple(rows["n"]) for rows in samples}) > 20
    pd.testing.assert_frame_equal(tables.read_sample(tmp_path / "a.csv", 4, 3)[0], samples[3])
    for size in (8, 9):
        pd.testing.assert_frame_equal(tables.read_sample(tmp_path / "a.csv", size, 0)[0], frame)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("1,2,soon", "'soon' in line 101"),
        ("1,2", "3 cells, got 2 in line 101"),
        ("1,2,True", "'True' in line 101"),
        ("1,2," + "9" * 25, "numbers that a float holds"),
        ('1,2,"3', "line 101"),
    ],
)
def test_lines_that_are_not_drawn_are_checked(tmp_path, monkeypatch, last, message):
    monkeypatch.setattr(csv_files, "CHUNK", 30)
    (tmp_path / "a.csv").write_text("a,b,c\n" + "1,2,3\n" * 99 + last + "\n")
    for seed in range(3):
        with pytest.raises(ValueError, match=message):
            tables.read_sample(tmp_path / "a.csv", 2, seed)


def test_columns_of_a_sample_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "CHUNK", 7)
    lines = [f"{i},{i},{'zz' if i > 30 else i},{i > 50},{'' if i % 2 else i}" for i in range(100)]
    (tmp_path / "a.csv").write_text("n,x,code,ok,gap\n" + "\n".join(lines) + "\n100,0.5,07,True,3\n")
    whole, (rows, total) = tables.read_csv(tmp_path / "a.csv"), tables.read_sample(tmp_path / "a.csv", 20, 1)
    assert total == 101
    assert (whole.dtypes == rows.dtypes).all()
    pd.testing.assert_frame_equal(rows, whole.iloc[rows["n"]].reset_index(drop=True))


def test_chunks_change_nothing(tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=50), "n": pd.array([None, 1] * 25, "Int64")})
    tables.write_csv(tmp_path / "a.csv", [frame])
    for size in (1, 7, 50, 51):
        monkeypatch.setattr(csv_files, "CHUNK", size)
        pd.testing.assert_frame_equal(tables.read_csv(tmp_path / "a.csv"), frame)


@pytest.mark.slow
def test_a_long_file_stays_out_of_memory(tmp_path):
    """The peak of a process that draws from 2,000,000 rows is that of one that draws from 100,000, but for some MiB."""
    part = pd.DataFrame({"x": np.arange(100_000) / 8, "word": "abcdefgh"})
    program = (
        "import resource, sys; from jaxcop import tables; print(tables.read_sample(sys.argv[1], 100, 0)[1]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    peaks = []
    for times in (1, 20):
        tables.write_csv(tmp_path / "a.csv", [part] * times, overwrite=True)
        run = subprocess.run(
            [sys.executable, "-c", program, tmp_path / "a.csv"], check=True, capture_output=True, text=True
        )
        total, peak = run.stdout.split()
        assert int(total) == len(part) * times
        peaks.append(float(peak))
    # As lists of texts two million rows are over 400 MiB.
    assert peaks[1] - peaks[0] < 60, peaks


MALFORMED = {
    "empty": (b"", "empty file"),
    "blank": (b"\n \n", "empty file"),
    "header only": (b"a,b\n", "none"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    "latin-1": ("a,b\n1,2\nM\xfcller,3\n".encode("latin-1"), "line 3"),
    "nul": (b"a,b\n1,\x002\n", "NUL byte in line 2"),
    "long row": (b"a,b\n1,2\n1,2,3\n", "2 cells, got 3 in line 3"),
    "short row": (b"a,b\n1,2\n1\n", "2 cells, got 1 in line 3"),
    "repeated name": (b"a,b,a\n1,2,3\n", r"\['a'\] more than once"),
    "no name": (b"a,,c\n1,2,3\n", "a name for every column"),
    "open quote": (b'a,b\n1,"2\n3,4\n', "quotes"),
    "quote inside": (b'a,b\n1,"2"x\n', "quotes"),
    "semicolons": (b"a;b\n1;2\n", "commas"),
    "tabs": (b"a\tb\n1\t2\n", "commas"),
    "mixed": (b"a,b\n1,2\n2,3\nsoon,4\n5,6\n", "'soon' in line 4"),
    "beyond integers": (b"a,b\n1,2\n" + b"9" * 400 + b",3\n", "."),
    "binary": (bytes(range(256)), "."),
    "zip": (b"PK\x03\x04\x14\x00\x00\x08", "."),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused(tmp_path, name):
    content, message = MALFORMED[name]
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        tables.infer_schema(tables.read_csv(tmp_path / "a.csv"))
    assert "expected" in str(caught.value)
    assert "got" in str(caught.value)


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(ValueError, match="check the path"):
            tables.read_csv(path)


@pytest.mark.parametrize("text", ["=1+1", " =A1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-cmd()", "\tx", "\r=1", "-(1)"])
def test_formulas_are_not_written(tmp_path, text):
    frame = pd.DataFrame({"a": ["p", text], "b": [1, 2]})
    with pytest.raises(ValueError, match="formula"):
        tables.write_csv(tmp_path / "a.csv", [frame])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="formula"):
        tables.write_csv(tmp_path / "a.csv", [pd.DataFrame({text: [1]})])
    tables.write_csv(tmp_path / "a.csv", [frame], allow_formulas=True)
    assert (tmp_path / "a.csv").exists()


def test_numbers_and_words_are_no_formulas():
    assert not formulas(["-5", "+1.5", "-", "+", "- none", "-.5", "a=b", "", 3, "-inf"])


def test_a_failure_halfway_leaves_the_old_file(tmp_path):
    (tmp_path / "a.csv").write_text("old")

    def pieces():
        yield pd.DataFrame({"a": [1]})
        raise ValueError("halfway")

    with pytest.raises(ValueError, match="exists"):
        tables.write_csv(tmp_path / "a.csv", pieces())
    with pytest.raises(ValueError, match="halfway"):
        tables.write_csv(tmp_path / "a.csv", pieces(), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_floats_are_read_to_the_last_digit(tmp_path):
    values = [0.1 + 0.2, 1 / 3, 2.2250738585072014e-308, 1.7976931348623157e308, 5e-324, 123456789.12345679]
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(map(repr, values)) + "\n")
    assert tables.read_csv(tmp_path / "a.csv")["x"].tolist() == values
