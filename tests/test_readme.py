"""The examples of README and guide run, and their commands name files that exist."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.py"))
NOTEBOOK = ROOT / "notebooks/fragmentation.ipynb"
TEXT = PAGES[0].read_text(encoding="utf-8")


def _examples(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_example_runs(capsys):
    (example,) = _examples(TEXT)
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "independence" in printed
    assert float(re.search(r"TSTR R2 (\S+),", printed)[1]) > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_the_guide_runs(page, capsys):
    names = {}
    for example in _examples(page.read_text(encoding="utf-8")):
        exec(compile(example, page.name, "exec"), names)
    assert "nan" not in capsys.readouterr().out


def test_commands_name_files_that_exist():
    for page in (*PAGES, *TUTORIALS, NOTEBOOK):
        for path in re.findall(r"(?:experiments|benchmarks)/\w+\.py", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), path


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]]


def test_every_tutorial_is_in_the_navigation():
    """A page that is in no menu is built and found by nobody."""
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert len(TUTORIALS) >= 7
    assert not [path.name for path in TUTORIALS if f"tutorials/{path.name}" not in menu]
