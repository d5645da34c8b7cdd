"""What posteriors of copulas predict, alone and averaged over families."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxcop import _checks
from jaxcop.bayes import _diagnostics
from jaxcop.bayes.copula import CopulaPosterior
from jaxcop.copulas import fitting


def predictive(key: Key[Array, ""], posterior: CopulaPosterior, num_rows: int) -> Float[Array, "m d"]:
    """Rows of the posterior predictive copula: each from its own draw of the parameters.

    Raises ValueError for fewer than 1 row.
    """
    _checks.whole(num_rows, "num_rows")
    copula = fitting.family_of(posterior.family)
    return _predictive(key, posterior.params, copula, num_rows, posterior.dim)


@partial(jax.jit, static_argnames=("copula", "num_rows", "dim"))
def _predictive(key, params, copula, num_rows, dim):
    key_draw, key_rows = jax.random.split(key)
    chosen = jax.random.randint(key_draw, (num_rows,), 0, jax.tree.leaves(params)[0].shape[0])
    keys = jax.random.split(key_rows, num_rows)
    return jax.vmap(lambda key, one: copula.sample(key, one, (dim,)))(keys, jax.tree.map(lambda x: x[chosen], params))


def compare(posteriors: Sequence[CopulaPosterior]) -> list[_diagnostics.Comparison]:
    """Families by expected log predictive density, best first, independence (0 by definition) among them.

    ``difference`` to the best and its standard error over rows; ``weight`` by pseudo-Bayesian model averaging with the
    Bayesian bootstrap (Yao et al. 2018). Raises ValueError for posteriors of different tables.
    """
    rows = {posterior.log_likelihood.shape[-1] for posterior in posteriors}
    names = [posterior.family for posterior in posteriors]
    if len(rows) != 1 or len(set(names)) < len(names):
        raise ValueError(
            f"posteriors: expected several families fitted to one table, got {names} with {sorted(rows)} rows; fit "
            "them to the same rows"
        )
    pointwise = {posterior.family: posterior.elpd.pointwise for posterior in posteriors}
    return _diagnostics.compare({"independence": np.zeros(rows.pop())} | pointwise)


def average(
    key: Key[Array, ""], posteriors: Sequence[CopulaPosterior], num_rows: int
) -> tuple[Float[Array, "m d"], list[_diagnostics.Comparison]]:
    """Rows from all families, each as often as its weight in ``compare`` says, and that table.

    Uncertainty about the family and about its parameters is in the rows. Raises ValueError as ``compare`` does.
    """
    table = compare(posteriors)
    by_name = {posterior.family: posterior for posterior in posteriors}
    key_family, key_rows = jax.random.split(key)
    weights = jnp.asarray([row.weight for row in table])
    family = jax.random.choice(key_family, len(table), (num_rows,), p=weights)
    every = [
        jax.random.uniform(one, (num_rows, posteriors[0].dim))
        if row.family == "independence"
        else predictive(one, by_name[row.family], num_rows)
        for row, one in zip(table, jax.random.split(key_rows, len(table)), strict=True)
    ]
    return jnp.stack(every)[family, jnp.arange(num_rows)], table
