"""Share of drawn rows that keep a constraint, with its bijection and without it (models of the plain columns).

python benchmarks/constraint_acceptance.py
"""

import jax
import numpy as np
import pandas as pd
from jaxcop import synthesizers, tables
from jaxcop.tables import checks
from rich.console import Console
from rich.table import Table

NUM_ROWS, DRAWN = 150, 20_000
NAMES = ("smoothed", "independent", "gaussian_mixture_copula")
RULES = {
    "inequality": tables.constraint("burden <= spacing"),
    "ratio": tables.constraint("ratio = spacing / burden"),
    "fixed sum": tables.constraint("sand + silt + clay = 100"),
    "sum": tables.constraint("rows + extra = holes"),
    "combinations": tables.Combinations(("rock", "wet")),
    "predicate (no bijection)": tables.constraint("burden + spacing <= 9"),
}


def blasts(n: int) -> pd.DataFrame:
    """A table that keeps all of ``RULES``, rounded as measurements are."""
    rng = np.random.default_rng(0)
    burden = (rng.gamma(4, 0.5, 4 * n) + 0.5).round(2)
    spacing = np.maximum(np.ceil(burden * 10) / 10, (burden + rng.gamma(2, 0.3, 4 * n)).round(1))
    burden, spacing = (values[burden + spacing <= 9][:n] for values in (burden, spacing))
    parts = np.array([rng.multinomial(1000, rng.dirichlet([1, 1, 1])) for _ in range(n)]) / 10
    rock, rows, extra = rng.choice(["granite", "marl"], n), rng.integers(1, 9, n), rng.integers(0, 50, n)
    columns = {"burden": burden, "spacing": spacing, "ratio": (spacing / burden).round(2), "rows": rows, "extra": extra}
    soil = dict(zip(("sand", "silt", "clay"), parts.T, strict=True))
    wet = np.where(rock == "granite", rng.random(n) < 0.5, True)
    return pd.DataFrame({**columns, "holes": rows + extra, **soil, "rock": rock, "wet": wet})


def main() -> None:
    """Fit every synthesizer with and without each constraint, and print the shares."""
    jax.config.update("jax_enable_x64", True)
    frame = blasts(NUM_ROWS)
    plain = tables.infer_schema(frame)
    shown = Table("constraint", *NAMES, title=f"rows kept of {DRAWN} drawn: with the constraint / plain columns")
    drawn = {}
    for name in NAMES:
        model = synthesizers.fit_table(jax.random.key(0), frame, plain, name)
        drawn[name] = synthesizers.sample_table(jax.random.key(1), model, DRAWN)
    for title, rule in RULES.items():
        cells = []
        for name in NAMES:
            schema = tables.Schema(plain.columns, (rule,))
            model, report = synthesizers.fit_table(jax.random.key(0), frame, schema, name), synthesizers.Acceptance()
            synthesizers.sample_table(jax.random.key(1), model, DRAWN, report=report)
            without = np.all(list(checks.kept(drawn[name], model.schema).values()), axis=0).mean()
            cells.append(f"{report.rate:.1%} / {without:.1%}")
        shown.add_row(title, *cells)
    Console().print(shown)


if __name__ == "__main__":
    main()
