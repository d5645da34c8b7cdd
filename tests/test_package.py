"""What holds for the package as a whole: light import, one home for each heavy library, no private JAX."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxcop"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_import_is_light_and_makes_no_array():
    program = (
        "import sys, jaxcop; heavy = {'distrax', 'numpyro', 'xgboost', 'pandas', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "import jax; assert not jax.live_arrays()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("flax", "vae/networks.py"),
        ("xgboost", "metrics/utility.py"),
        ("matplotlib", "report/"),
        ("pandas", "tables/"),
        ("pint", "tables/harmonise.py"),
        ("yaml", "tables/schema_files.py"),
        ("typer", "cli/"),
        ("numpyro", "bayes/"),
        ("arviz", "bayes/_diagnostics.py"),
        ("distrax", "nowhere"),
    ],
)
def test_each_library_is_imported_in_one_place(library, home):
    pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    users = {str(path.relative_to(PACKAGE)) for path in SOURCES if pattern.search(path.read_text())}
    assert all(user.startswith(home) for user in users), users


def test_no_private_or_dated_jax():
    pattern = re.compile(r"jax\._src|jax\.core\b|jax\.interpreters|jax\.experimental|\bpmap\(|PRNGKey\(")
    assert not [str(path) for path in SOURCES if pattern.search(path.read_text())]


@pytest.mark.parametrize(
    ("lower", "forbidden"),
    [
        ("metrics", ("copulas", "vae", "synthesizers", "evaluation", "sweep", "report")),
        ("tables", ("copulas", "vae", "synthesizers", "evaluation", "sweep", "report", "metrics")),
        ("copulas", ("bayes", "vae", "synthesizers", "evaluation", "sweep", "report", "metrics")),
        ("bayes", ("vae", "synthesizers", "evaluation", "report", "metrics")),
        ("vae", ("bayes", "copulas", "synthesizers", "evaluation", "sweep", "report", "metrics")),
        ("imbalanced", ("copulas", "vae", "synthesizers", "evaluation", "sweep", "report", "metrics")),
        ("synthesizers", ("evaluation", "report", "metrics", "sweep", "tuning")),
    ],
)
def test_imports_point_downwards(lower, forbidden):
    pattern = re.compile(rf"(from|import) jaxcop(\.| import )({'|'.join(forbidden)})\b")
    assert not [str(path) for path in (PACKAGE / lower).rglob("*.py") if pattern.search(path.read_text())]


def test_product_and_tests_read_nothing_outside_the_checkout():
    root = PACKAGE.parent
    name = "sha" + "red/"
    texts = [path for folder in ("jaxcop", "experiments", "tests") for path in (root / folder).rglob("*.py")]
    assert not [str(path) for path in texts if name in path.read_text()]
