"""The examples of README and guide run, and their commands name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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
    for page in PAGES:
        for path in re.findall(r"(?:experiments|benchmarks)/\w+\.py", page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), path
