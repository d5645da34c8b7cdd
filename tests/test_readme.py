"""The README's example runs, and its commands name files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "independence" in printed
    assert float(re.search(r"TSTR R2 (\S+),", printed)[1]) > 0.2


def test_commands_name_files_that_exist():
    for path in re.findall(r"(?:experiments|benchmarks)/\w+\.py", TEXT):
        assert (ROOT / path).exists(), path
