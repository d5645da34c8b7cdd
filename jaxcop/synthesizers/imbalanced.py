"""Arms of the ablation for imbalanced regression as synthesizers; the target is the last column.

``david`` trains the balanced beta-VAE and draws rows by the smoothed bootstrap of its latent means or from its
posteriors; the others are the steps on the way there: training rows as they are, drawn by weight, smoothed without a
network. All draw rows with probability f(y)^-alpha and put a synthetic row where a row is drawn again.
"""

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxcop import _checks, categories
from jaxcop.categories import Levels
from jaxcop.imbalanced import autoencoder, bootstrap, density, encoding
from jaxcop.imbalanced.autoencoder import Config, Hyper, Trained
from jaxcop.imbalanced.encoding import Scaling
from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers.controls import unchanged

DRAWS = ("kernel", "posterior")


class Drawing(NamedTuple):
    """Numbers of the arms without a network: ``draw_alpha`` as in ``Hyper``, ``multiplier`` of the bandwidth."""

    draw_alpha: float | Float[Array, ""] = 0.5
    multiplier: float | Float[Array, ""] = 1.0


class Weighted(NamedTuple):
    """Training rows, which of them count, the probability that each is drawn, and the multiplier of the bandwidth."""

    x: Float[Array, "n d"]
    mask: Bool[Array, " n"]
    weights: Float[Array, " n"]
    multiplier: Float[Array, ""]


class Coded(NamedTuple):
    """Weighted rows, their scaling, and a latent code for each with what decodes it; ``mean`` of the raw rows is
    the scaled table itself."""

    rows: Weighted
    scaling: Scaling
    mean: Float[Array, "n l"]
    log_var: Any
    decoder: Any


def _target_weights(x, alpha, mask, levels: Levels | None):
    target = 0 if levels is None else levels[-1]
    if target:
        return density.class_weights(x[:, -1], target, alpha, mask)
    return density.density_weights(x[:, -1], alpha, mask)


def _check_rows(x, hyper, levels: Levels | None):
    table, found = categories.check(x, levels)
    if table.shape[1] < 2:
        raise ValueError("x: expected features and a target, got 1 column; put the target last")
    if not found[-1]:
        density.check_target(table[:, -1], "x: target (last column)")
    density.check_alpha(hyper.draw_alpha, "draw_alpha")
    _checks.positive(float(hyper.multiplier), "multiplier", allow_zero=True)
    return table, found


def _weighted(x, mask, hyper, levels) -> Weighted:
    weights = _target_weights(x, hyper.draw_alpha, mask, levels)
    return Weighted(x, mask, weights, jnp.asarray(hyper.multiplier, x.dtype))


@cache
def oversample(*, levels: Levels | None = None) -> Synthesizer:
    """Training rows drawn with probability proportional to f(y)^-alpha, nothing new."""

    def fit(key, x, mask, hyper: Drawing):
        return _weighted(x, mask, hyper, levels)

    def sample(key, fitted: Weighted, n: int):
        return fitted.x[bootstrap.draw_rows(key, fitted.weights, n)]

    def check(x, hyper):
        _check_rows(x, hyper, levels)

    return Synthesizer(fit, sample, Drawing(), check)


def _sampler(decode, levels: Levels | None, draw: str, rule: str, adaptive: bool, mixing: bool):
    """Draw rows by weight, move their codes, decode, and keep the first draw of every real row."""
    _checks.one_of(draw, DRAWS, "draw")
    _checks.one_of(rule, bootstrap.RULES, "rule")

    def sample(key, fitted: Coded, n: int):
        key_rows, key_noise, key_decode = jax.random.split(key, 3)
        rows, mean = fitted.rows, fitted.mean
        index = bootstrap.draw_rows(key_rows, rows.weights, n)
        if draw == "posterior":
            noise = jax.random.normal(key_noise, (n, mean.shape[1]), mean.dtype)
            z = mean[index] + jnp.exp(0.5 * fitted.log_var[index]) * noise
        else:
            factor = bootstrap.bandwidth(rows.mask.sum().astype(mean.dtype), mean.shape[1], rule)
            factors = bootstrap.adaptive_factors(mean, rows.mask, factor) if adaptive else None
            root = rows.multiplier * factor * bootstrap.covariance_root(mean, rows.mask)
            z = bootstrap.smoothed_draw(key_noise, mean, index, root, factors)
        names = categories.all_numeric(rows.x.shape[1]) if levels is None else levels
        synthetic = encoding.decode(decode(key_decode, fitted.decoder, z, names), fitted.scaling, names)
        return bootstrap.mix(index, rows.x, synthetic) if mixing else synthetic

    return sample


@cache
def smoothed_raw(
    *, levels: Levels | None = None, rule: str = "silverman", adaptive: bool = False, mixing: bool = True
) -> Synthesizer:
    """Smoothed bootstrap of the scaled rows themselves, target included."""

    def fit(key, x, mask, hyper: Drawing):
        names = categories.all_numeric(x.shape[1]) if levels is None else levels
        scaling = encoding.fit(x, mask)
        return Coded(_weighted(x, mask, hyper, levels), scaling, encoding.encode(x, scaling, names), (), ())

    def check(x, hyper):
        _check_rows(x, hyper, levels)

    sample = _sampler(lambda key, decoder, z, names: z, levels, "kernel", rule, adaptive, mixing)
    return Synthesizer(fit, sample, Drawing(), check)


class Projection(NamedTuple):
    """Centre and principal axes of the scaled rows."""

    centre: Float[Array, " e"]
    axes: Float[Array, "e l"]


@cache
def smoothed_pca(
    num_components: int | None = None,
    *,
    levels: Levels | None = None,
    rule: str = "silverman",
    adaptive: bool = False,
    mixing: bool = True,
) -> Synthesizer:
    """Smoothed bootstrap of the first principal components; None takes as many as the published latent size."""

    def size(names: Levels) -> int:
        if num_components is not None:
            return num_components
        return autoencoder.published_sizes(categories.blocks(names)[-1].start).latent_dim

    def fit(key, x, mask, hyper: Drawing):
        names = categories.all_numeric(x.shape[1]) if levels is None else levels
        scaling = encoding.fit(x, mask)
        encoded = encoding.encode(x, scaling, names)
        centre = jnp.where(mask[:, None], encoded, 0).sum(0) / mask.sum()
        centred = jnp.where(mask[:, None], encoded - centre, 0)
        # Eigenvalues come in ascending order.
        axes = jnp.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, : size(names)]
        return Coded(_weighted(x, mask, hyper, levels), scaling, centred @ axes, (), Projection(centre, axes))

    def check(x, hyper):
        _, names = _check_rows(x, hyper, levels)
        width = categories.blocks(names)[-1].stop
        if not 1 <= size(names) <= width:
            raise ValueError(f"num_components: expected 1 to {width} (the columns), got {num_components}; choose fewer")

    def decode(key, decoder: Projection, z, names):
        return z @ decoder.axes.T + decoder.centre

    return Synthesizer(fit, _sampler(decode, levels, "kernel", rule, adaptive, mixing), Drawing(), check)


@cache
def _david_fit(config: Config, levels: Levels | None):
    """One function object per architecture: arms that differ by numbers or by how they draw share its program."""

    def fit(key, x, mask, hyper: Hyper):
        names = categories.all_numeric(x.shape[1]) if levels is None else levels
        scaling = encoding.fit(x, mask)
        encoded = encoding.encode(x, scaling, names)
        omega = _target_weights(x, hyper.alpha, mask, levels)
        trained = autoencoder.train(key, encoded, mask, omega, hyper, config, names)
        mean, log_var = autoencoder.encode(trained.vector, encoded, config, names)
        return Coded(_weighted(x, mask, hyper, levels), scaling, mean, log_var, trained)

    return fit


@cache
def david(
    config: Config | None = None,
    *,
    hyper: Hyper | None = None,
    levels: Levels | None = None,
    draw: str = "kernel",
    rule: str = "silverman",
    adaptive: bool = False,
    mixing: bool = True,
) -> Synthesizer:
    r"""Balanced beta-VAE with a smoothed bootstrap of its latent means (DAVID).

    Trains on rows scaled to [0, 1], draws rows with probability :math:`f(y_i)^{-\alpha}` and decodes
    z ~ N(mu_i, H) (``draw="kernel"``, H by ``rule``, ``multiplier`` and ``adaptive``: see
    ``imbalanced.smoothed_bootstrap``) or z ~ N(mu_i, sigma_i^2) (``draw="posterior"``). With ``mixing`` the first draw
    of a row is the real row.

    Args:
        config: architecture and loop lengths.
        hyper: the numbers of the arm; ``imbalanced_arms`` lists those of the ablation.
        levels: per column 0, or the number of its categories coded 0, 1, ...; None: all are numbers. A target with
            levels is balanced by class frequency.
        draw: ``"kernel"`` or ``"posterior"``; this and what follows say how rows are drawn, and share one training.
        rule: of the bandwidth.
        adaptive: wider kernels where latent rows are few.
        mixing: keep the real row the first time it is drawn.

    Source: Stocksieker, Pommeret & Charpentier 2024.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(40, 5))
    >>> arm = david(Config(epochs=2, batch_size=20))
    >>> arm.check(x, arm.hyper)
    >>> arm.hyper.draw_alpha
    0.5
    """
    config = Config() if config is None else config

    def check(x, hyper):
        table, names = _check_rows(x, hyper, levels)
        autoencoder.check(config, hyper, len(table), names)

    def decode(key, decoder: Trained, z, names):
        outputs = autoencoder.decode(decoder.vector, z, config, names)
        return categories.add_gumbel(key, outputs, names)

    sample = _sampler(decode, levels, draw, rule, adaptive, mixing)
    return Synthesizer(_david_fit(config, levels), sample, Hyper() if hyper is None else hyper, check)


TRAINED_ARMS: dict[str, tuple[str, dict[str, float]]] = {
    "ae": ("kernel", {"alpha": 0.0, "beta_kl": 0.0, "noise": 0.0}),
    "vae0": ("posterior", {"alpha": 0.0, "beta_kl": 0.0}),
    "vae_w": ("posterior", {"beta_kl": 0.0}),
    "bvae": ("posterior", {"alpha": 0.0}),
    "bvae_w": ("posterior", {}),
    "kvae_w": ("kernel", {"beta_kl": 0.0}),
    "kbvae": ("kernel", {"alpha": 0.0}),
    "kbvae_w": ("kernel", {}),
}
"""Arms with a network: how they draw, and which numbers differ from those of ``kbvae_w``, which is DAVID."""


def imbalanced_arms(
    config: Config | None = None,
    *,
    hyper: Hyper | None = None,
    levels: Levels | None = None,
    rule: str = "silverman",
    adaptive: bool = False,
    mixing: bool = True,
) -> dict[str, Synthesizer]:
    """Every arm of the ablation by name; ``hyper`` holds the numbers of the full method.

    ``baseline`` trains on the rows as they are; ``w`` in a name: balanced loss; ``k``: smoothed bootstrap of the latent
    means instead of the posteriors; ``b``: a KL term; ``vae0``: none.

    >>> list(imbalanced_arms())[:4]
    ['baseline', 'oversample', 'smoothed_raw', 'smoothed_pca']
    """
    hyper = Hyper() if hyper is None else hyper
    kernel = {"levels": levels, "rule": rule, "adaptive": adaptive, "mixing": mixing}
    drawing = Drawing(hyper.draw_alpha, hyper.multiplier)
    latent = None if config is None else config.latent_dim
    trained = {
        name: david(config, hyper=hyper._replace(**numbers), draw=draw, **kernel)
        for name, (draw, numbers) in TRAINED_ARMS.items()
    }
    plain = {
        "oversample": oversample(levels=levels),
        "smoothed_raw": smoothed_raw(**kernel),
        "smoothed_pca": smoothed_pca(latent, **kernel),
    }
    return {
        "baseline": unchanged(),
        **{name: arm._replace(hyper=drawing) for name, arm in plain.items()},
        **trained,
    }
