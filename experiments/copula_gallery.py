"""Draw every family of ``jaxcop.copulas`` at the same Kendall's tau: ``python experiments/copula_gallery.py``.

Writes docs/copula_gallery.png: samples, densities with normal margins, and the tails.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
from jaxcop import mixture
from jaxcop.copulas import (
    blend,
    clayton,
    frank,
    gaussian,
    gaussian_mixture,
    gumbel,
    joe,
    mixture_of,
    rotated,
    student_t,
    survival,
)
from jaxcop.report.gallery import copula_gallery, tails_of_pair

TAU = 0.5
# Positive dependence below, negative above: no single correlation describes it.
TWO_REGIMES = mixture.Params(
    jnp.zeros(2),
    jnp.array([[-1.0, -1.0], [1.0, 1.0]]),
    jnp.array([[[1.0, 0.0], [0.8, 0.6]], [[1.0, 0.0], [-0.8, 0.6]]]),
)


def gallery(tau: float = TAU) -> dict:
    """Titles, copulas and parameters."""
    matrix, value = jnp.array([[1.0, tau], [tau, 1.0]]), jnp.asarray(tau)
    both = mixture_of(clayton.COPULA, survival(clayton.COPULA))
    one = clayton.from_kendall_tau(value)
    return {
        "Gaussian": (gaussian.COPULA, gaussian.from_kendall_tau(matrix)),
        "Student-t, df 3": (student_t.COPULA, student_t.from_kendall_tau(matrix, df=3.0)),
        "Clayton": (clayton.COPULA, one),
        "survival Clayton": (survival(clayton.COPULA), one),
        "Clayton, 90 degrees": (rotated(clayton.COPULA, 90), one),
        "Gumbel": (gumbel.COPULA, gumbel.from_kendall_tau(value)),
        "Joe": (joe.COPULA, joe.from_kendall_tau(value)),
        "Frank": (frank.COPULA, frank.from_kendall_tau(value)),
        "Clayton + survival": (both, blend.Params(jnp.zeros(2), (one, one))),
        "Gaussian mixture": (gaussian_mixture.copula(2), TWO_REGIMES),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture and print the tail coefficients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/copula_gallery.png"))
    out = parser.parse_args(arguments).out
    shown = gallery()
    for title, (copula, params) in shown.items():
        lower, upper = tails_of_pair(copula, params)
        print(f"{title:22} tail dependence: lower {lower:.3f}, upper {upper:.3f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    print(copula_gallery(out, shown))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
