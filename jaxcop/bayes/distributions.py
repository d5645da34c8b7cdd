"""Copulas, and copulas with margins, as NumPyro distributions."""

# NumPyro annotates its methods more narrowly than it uses them.
# pyright: reportArgumentType=false, reportAssignmentType=false, reportIndexIssue=false

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxcop._numerics import open_unit
from jaxcop.copulas import Copula
from jaxcop.copulas.fitting import family_of

UNIT = constraints.open_interval(0.0, 1.0)


class CopulaDistribution(dist.Distribution):
    """A copula family on the open unit cube: event shape (d,), batch shape that of its parameters.

    ``family`` is a name in ``copulas.FAMILIES`` or a ``Copula``; ``params`` its parameters, whose leaves may carry
    leading batch axes; ``dim`` the dimension where the parameters do not tell it (2 by default). ``log_prob`` is the
    family's ``logpdf``, -inf outside the cube. There is no discrete latent variable in any family, so enumeration
    passes through.

    >>> import jax
    >>> from jaxcop.copulas import clayton
    >>> pair = CopulaDistribution("clayton", clayton.Params(jax.numpy.array([0.5, 2.0])))
    >>> pair.batch_shape, pair.event_shape, pair.sample(jax.random.key(0), (3,)).shape
    ((2,), (2,), (3, 2, 2))
    """

    support = constraints.independent(UNIT, 1)
    pytree_data_fields = ("params",)
    pytree_aux_fields = ("copula",)

    def __init__(self, family: str | Copula, params: Any, *, dim: int | None = None, validate_args: bool | None = None):
        self.copula = family_of(family)
        self.params = jax.tree.map(jnp.asarray, params)
        if dim is None:
            dim = self.params.correlation.shape[-1] if hasattr(self.params, "correlation") else 2
        base = _base(self.copula, dim)
        leaves, expected = jax.tree.leaves(self.params), jax.tree.leaves(base)
        if jax.tree.structure(self.params) != jax.tree.structure(base):
            raise ValueError(
                f"params: expected {type(base).__name__} of {self.copula.name} with the leaves {base}, got {params}; "
                f"use jaxcop.copulas.{self.copula.name}.Params"
            )
        batches = []
        for leaf, one in zip(leaves, expected, strict=True):
            if leaf.shape[leaf.ndim - one.ndim :] != one.shape:
                raise ValueError(
                    f"params: expected shapes (*batch, {', '.join(map(str, one.shape))}) in dimension {dim}, got "
                    f"{leaf.shape}; pass dim, or other parameters"
                )
            batches.append(leaf.shape[: leaf.ndim - one.ndim])
        super().__init__(jnp.broadcast_shapes((), *batches), (dim,), validate_args=validate_args)

    def _flat(self):
        """Parameters with one batch axis."""
        base = _base(self.copula, self.event_shape[0])
        return jax.tree.map(
            lambda leaf, one: jnp.broadcast_to(leaf, self.batch_shape + one.shape).reshape(-1, *one.shape),
            self.params,
            base,
        )

    def log_prob(self, value, intermediates=None):
        _check_columns(value, self.event_shape[0])
        if self._validate_args:
            self._validate_sample(value)
        if not self.batch_shape:
            return self.copula.logpdf(value, self.params)
        shape = jnp.broadcast_shapes(jnp.shape(value), self.batch_shape + self.event_shape)
        lead = shape[: len(shape) - 1 - len(self.batch_shape)]
        points = jnp.broadcast_to(value, shape).reshape(*lead, -1, shape[-1])
        found = jax.vmap(self.copula.logpdf, (-2, 0), -1)(points, self._flat())
        return found.reshape(shape[:-1])

    def sample(self, key, sample_shape=()):
        shape = (*sample_shape, *self.event_shape)
        if not self.batch_shape:
            return self.copula.sample(key, self.params, shape)
        params = self._flat()
        keys = jax.random.split(key, len(jax.tree.leaves(params)[0]))
        rows = jax.vmap(lambda key, one: self.copula.sample(key, one, shape), out_axes=-2)(keys, params)
        return rows.reshape(*sample_shape, *self.batch_shape, *self.event_shape)


def _base(copula: Copula, dim: int):
    """Shapes of one set of parameters."""
    return jax.eval_shape(lambda: copula.constrain(jnp.zeros(copula.num_params(dim)), dim))


def _check_columns(value, dim: int) -> None:
    if jnp.ndim(value) < 1 or jnp.shape(value)[-1] != dim:
        raise ValueError(
            f"value: expected {dim} columns, as the distribution has, got shape {jnp.shape(value)}; use one dimension"
        )


class SklarDistribution(dist.Distribution):
    r"""A joint distribution from a copula and one NumPyro margin per column (Sklar's theorem).

    .. math:: \log f(x) = \log c(F_1(x_1), \dots, F_d(x_d)) + \sum_j \log f_j(x_j)

    The margins need ``cdf`` and ``log_prob`` to score, ``icdf`` to sample. Batch shapes of copula and margins
    broadcast. Raises ValueError for another number of margins than the copula has columns.

    >>> import jax
    >>> from jaxcop.copulas import clayton
    >>> pair = CopulaDistribution("clayton", clayton.Params(jax.numpy.array(2.0)))
    >>> joint = SklarDistribution(pair, [dist.Normal(0, 1), dist.LogNormal(1, 0.5)])
    >>> x = joint.sample(jax.random.key(0), (1000,))
    >>> bool((x[:, 1] > 0).all()), joint.log_prob(x).shape
    (True, (1000,))
    """

    pytree_data_fields = ("dependence", "margins")

    def __init__(
        self,
        dependence: CopulaDistribution,
        margins: Sequence[dist.Distribution],
        *,
        validate_args: bool | None = None,
    ):
        self.dependence, self.margins = dependence, tuple(margins)
        dim = dependence.event_shape[0]
        if len(self.margins) != dim or any(margin.event_shape for margin in self.margins):
            raise ValueError(
                f"margins: expected {dim} univariate distributions, one per column of the copula, got "
                f"{[type(margin).__name__ for margin in self.margins]}; give one for each column"
            )
        batch = jnp.broadcast_shapes(dependence.batch_shape, *(margin.batch_shape for margin in self.margins))
        super().__init__(batch, (dim,), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=1)
    def support(self):
        parts = [margin.support for margin in self.margins]
        if all(part == parts[0] for part in parts):
            return constraints.independent(parts[0], 1)
        return constraints.independent(constraints.cat(parts, -1, [1] * len(parts)), 1)

    def log_prob(self, value, intermediates=None):
        _check_columns(value, self.event_shape[0])
        if self._validate_args:
            self._validate_sample(value)
        columns = [value[..., j] for j in range(self.event_shape[0])]
        u = [open_unit(margin.cdf(x)) for margin, x in zip(self.margins, columns, strict=True)]
        densities = [margin.log_prob(x) for margin, x in zip(self.margins, columns, strict=True)]
        return self.dependence.log_prob(jnp.stack(jnp.broadcast_arrays(*u), -1)) + sum(densities)

    def sample(self, key, sample_shape=()):
        u = self.dependence.expand(self.batch_shape).sample(key, sample_shape)
        return jnp.stack([margin.icdf(u[..., j]) for j, margin in enumerate(self.margins)], -1)
