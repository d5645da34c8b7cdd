"""Copulas as synthesizers: margins, a copula on the uniform scale, and back."""

from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks, categories, margins, mixture
from jaxcop.categories import Levels
from jaxcop.copulas import Copula, fitting, gaussian, gaussian_mixture, latent
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers._given import of_copula


class FittedCopula(NamedTuple):
    """Dependence and margins; ``copula`` is what the family's or the mixture's fit returned, or ``latent.fit``."""

    copula: Any
    margins: margins.Params


@cache
def copula(
    family: str | Copula,
    *,
    method: str = "ml",
    margin: str = "empirical",
    levels: Levels = (),
    nominal: tuple[int, ...] = (),
) -> Synthesizer:
    """One copula, by its name in ``copulas.FAMILIES`` or as a ``Copula``, on the ``margin`` of ``margins.MARGINS``.

    ``method`` is that of ``copulas.fit``: with empirical margins ``"ml"`` is maximum pseudo-likelihood. With ``levels``
    (Gaussian copula only) columns of codes are cut normal variables, and the correlation is fitted by the likelihoods
    of pairs: see ``latent.fit``, also for ``nominal``.
    """
    model = fitting.family_of(family)
    _checks.one_of(method, ("itau", "ml"), "method")
    _checks.one_of(margin, margins.MARGINS, "margin")
    to_uniform, from_uniform = margins.MARGINS[margin]
    levels = categories.check_levels(levels)
    if any(levels):
        if model is not gaussian.COPULA or method != "ml":
            raise ValueError(
                f"levels: expected the Gaussian copula and method 'ml', got {model.name} and {method!r}; leave levels "
                "out and spread the codes (tables.dequantise)"
            )
        return _latent(levels, nominal, from_uniform)

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


def _latent(levels: Levels, nominal: tuple[int, ...], from_uniform) -> Synthesizer:
    is_code = np.array(levels) > 0

    def check(x, hyper):
        latent.check(x, levels, nominal)

    def fit(key, x, mask, hyper):
        return FittedCopula(latent.fit_masked(x, mask, levels, nominal), margins.fit(x, mask))

    def sample(key, fitted: FittedCopula, n: int):
        u = gaussian.sample(key, fitted.copula.params, (n, len(levels)))
        codes = latent.codes_of(u[:, is_code], fitted.copula.cuts)
        return from_uniform(u, fitted.margins).at[:, is_code].set(codes)

    return Synthesizer(fit, sample, (), check)


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
