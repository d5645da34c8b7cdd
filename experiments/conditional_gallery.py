"""Draw conditional samples of four copulas beside rejection: ``python experiments/conditional_gallery.py``.

Writes docs/conditional_gallery.png and prints how often a proposal was accepted where rejection keeps few rows.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxcop.copulas import clayton, conditional, gaussian, gaussian_mixture, student_t
from jaxcop.report.gallery import conditional_gallery

from copula_gallery import TAU, TWO_REGIMES

BEYOND = 0.99


def families() -> dict:
    """Titles, copulas and parameters."""
    matrix = jnp.array([[1.0, TAU], [TAU, 1.0]])
    return {
        "Gaussian": (gaussian.COPULA, gaussian.from_kendall_tau(matrix)),
        "Student-t, df 3": (student_t.COPULA, student_t.from_kendall_tau(matrix, df=3.0)),
        "Clayton": (clayton.COPULA, clayton.from_kendall_tau(jnp.asarray(TAU))),
        "Gaussian mixture": (gaussian_mixture.copula(2), TWO_REGIMES),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture and print acceptances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/conditional_gallery.png"))
    out = parser.parse_args(arguments).out
    both = conditional.condition(2, {0: (BEYOND, 1.0), 1: (BEYOND, 1.0)})
    for title, (copula, params) in families().items():
        draws = conditional.sample(jax.random.key(0), copula, params, both, 1000)
        every = np.asarray(copula.sample(jax.random.key(1), params, (1_000_000, 2)))
        print(f"{title:18} accepted {float(draws.acceptance):.3f}, rejection {(every > BEYOND).all(1).mean():.5f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    print(conditional_gallery(out, families()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
