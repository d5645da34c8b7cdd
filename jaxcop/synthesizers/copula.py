"""Copulas as synthesizers: margins, a copula on the uniform scale, and back."""

from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcop import _checks, margins, mixture
from jaxcop.copulas import Copula, fitting, gaussian_mixture
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers._given import of_copula


class FittedCopula(NamedTuple):
    """Dependence and margins; ``copula`` is what the family's or the mixture's fit returned."""

    copula: Any
    margins: margins.Params


@cache
def copula(family: str | Copula, *, method: str = "ml", margin: str = "empirical") -> Synthesizer:
    """One copula, by its name in ``copulas.FAMILIES`` or as a ``Copula``, on the ``margin`` of ``margins.MARGINS``.

    ``method`` is that of ``copulas.fit``: with empirical margins ``"ml"`` is maximum pseudo-likelihood.
    """
    model = fitting.family_of(family)
    _checks.one_of(method, ("itau", "ml"), "method")
    _checks.one_of(margin, margins.MARGINS, "margin")
    to_uniform, from_uniform = margins.MARGINS[margin]

    def check(x, hyper):
        if _checks.table(x, min_rows=3).shape[1] < 2:
            raise ValueError("x: expected at least 2 columns, got 1; a single column has no dependence")

    def fit(key, x, mask, hyper):
        fitted = margins.fit(x, mask)
        # Rows that do not count sit in the centre of the cube, where every density and its gradient are finite.
        u = jnp.where(mask[:, None], to_uniform(x, fitted), 0.5)
        return FittedCopula(fitting.fit_masked(u, mask, model, method, key=key), fitted)

    def sample(key, fitted: FittedCopula, n: int):
        u = model.sample(key, fitted.copula.params, (n, fitted.margins.sorted.shape[-1]))
        return from_uniform(u, fitted.margins)

    return Synthesizer(fit, sample, (), check, of_copula(model, margin))


class Regularisation(NamedTuple):
    """What is added to the variances of the mixture on normal scores, which have variance near 1."""

    regularisation: float | Float[Array, ""] = 1e-2


@cache
def gaussian_mixture_copula(num_components: int = 20, *, num_steps: int = 100) -> Synthesizer:
    r"""A Gaussian mixture on normal scores, each coordinate sent through its own mixture margin.

    z ~ sum_k pi_k N(mu_k, Sigma_k), :math:`u_j = \sum_k \pi_k \Phi((z_j - \mu_{kj}) / \sigma_{kj})`, which is exactly
    uniform, then empirical quantiles. Source: Tewari, Giering & Raghunathan 2011 (the fit here is the two-step
    approximation: mixture parameters by EM on normal scores).
    """

    def check(x, hyper: Regularisation):
        rows = len(_checks.table(x))
        if not 1 <= num_components <= rows:
            raise ValueError(f"num_components: expected 1 to {rows} (the rows), got {num_components}; choose fewer")
        _checks.positive(hyper.regularisation, "regularisation")

    def fit(key, x, mask, hyper: Regularisation):
        margin = margins.fit(x, mask)
        z = jnp.where(mask[:, None], margins.normal_scores(x, margin), 0)
        fitted = mixture.fit_masked(
            key,
            z,
            mask,
            num_components=num_components,
            regularisation=hyper.regularisation,
            num_steps=num_steps,
        )
        return FittedCopula(fitted, margin)

    def sample(key, fitted: FittedCopula, n: int):
        u = gaussian_mixture.sample(key, fitted.copula.params, (n, fitted.margins.sorted.shape[-1]))
        return margins.MARGINS["empirical"].from_uniform(u, fitted.margins)

    given = of_copula(gaussian_mixture.copula(num_components))
    return Synthesizer(fit, sample, Regularisation(), check, given)
