"""Do 95 % confidence intervals of a fitted copula hold the true parameter 95 % of the time?

    python experiments/interval_coverage.py                                  # a few minutes on two cores
    python experiments/interval_coverage.py --families clayton --rows 1000

Samples of known parameters are fitted and given intervals, all replicates of a row in one compiled program. The last
column is the control: the errors that belong to known margins, put on a fit to ranks.
"""

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxcop.copulas import (
    FAMILIES,
    Copula,
    clayton,
    fit,
    frank,
    gaussian,
    gumbel,
    inference,
    joe,
    pseudo_observations,
)
from rich.console import Console
from rich.table import Table

ARCHIMEDEAN = {"clayton": clayton, "gumbel": gumbel, "frank": frank, "joe": joe}
# Name of the column, estimator, method of the standard errors.
COLUMNS = (("ml, observed", "ml", "observed"), ("mpl, rank", "mpl", "rank"), ("mpl, observed", "mpl", "observed"))


def truth(family: str, tau: float):
    """Parameters of a family in two dimensions with Kendall's tau."""
    matrix = jnp.asarray([[1.0, tau], [tau, 1.0]])
    return gaussian.from_kendall_tau(matrix) if family == "gaussian" else ARCHIMEDEAN[family].from_kendall_tau(tau)


def coverage(copula: Copula, params, num_rows: int, num_replicates: int, level: float, seed: int):
    """Whether each interval holds the truth, and whether it claims to be valid: two of ``[replicates, columns]``."""
    true = copula.unconstrain(params, 2)

    def replicate(key):
        known = copula.sample(key, params, (num_rows, 2))
        points = {"ml": known, "mpl": pseudo_observations(known)}
        fits = {estimator: fit(u, copula) for estimator, u in points.items()}
        held, valid = [], []
        for _, estimator, method in COLUMNS:
            fitted = fits[estimator]
            limits = inference.interval(points[estimator], copula, fitted, level=level, method=method)
            low, high = (copula.unconstrain(side, 2) for side in (limits.lower, limits.upper))
            held.append(jnp.all((low <= true) & (true <= high)))
            valid.append(fitted.converged & limits.errors.valid)
        return jnp.stack(held), jnp.stack(valid)

    keys = jax.random.split(jax.random.key(seed), num_replicates)
    return jax.jit(lambda keys: jax.lax.map(replicate, keys, batch_size=100))(keys)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--families", nargs="+", default=["clayton", "gumbel", "frank", "gaussian"], choices=[*ARCHIMEDEAN, "gaussian"]
    )
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 250])
    parser.add_argument("--tau", type=float, default=0.5)
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--level", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    table = Table("family", "rows", *(name for name, *_ in COLUMNS), "not valid")
    for family in options.families:
        for num_rows in options.rows:
            held, valid = coverage(
                FAMILIES[family],
                truth(family, options.tau),
                num_rows,
                options.replicates,
                options.level,
                options.seed,
            )
            share = np.mean(held, 0)
            error = np.sqrt(share * (1 - share) / len(held))
            cells = [f"{s:.3f} ± {e:.3f}" for s, e in zip(share, error, strict=True)]
            table.add_row(family, str(num_rows), *cells, str(int(np.sum(~np.asarray(valid)))))
    Console(width=100).print(
        f"Coverage of {options.level:.0%} intervals, tau {options.tau}, {options.replicates} replicates, "
        "with its Monte-Carlo error:",
        table,
    )
    return 0


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    raise SystemExit(main())
