"""CSV files: read as they are or refused with the line at fault; written whole, without formulas."""

import pandas as pd
import pytest
from jaxcop import tables
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
