"""What is fixed when a VAE is compiled (Config) and what may change without compiling again (Hyper)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from jaxcop import _checks, categories
from jaxcop.vae.decoders import DECODERS

PRIORS = ("normal", "gmm")
SCHEDULES = ("constant", "linear", "sigmoid", "cyclical")


def _whole(value, name: str, lowest: int):
    if int(value) != value or value < lowest:
        raise ValueError(f"{name}: expected a whole number of at least {lowest}, got {value!r}; choose another value")


@dataclass(frozen=True)
class Config:
    """Static configuration: architecture and loop lengths.

    The defaults are option A of the project plan: 64 and 32 ReLU units, latent 16, 300 epochs. ``batch_size`` is the
    largest mini-batch: an epoch cuts the shuffled rows into the fewest batches of equal size that respect it.
    ``validation_share`` of the rows is held out, and the parameters of the epoch with the highest bound on them are
    kept (early stopping); 0 trains on all rows to the end.
    ``decoder`` is the distribution of the columns given z: ``gaussian`` (location and scale depend on z), ``student_t``
    (the same with learned degrees of freedom), ``homoscedastic`` (one learned scale per column) or ``sigma_vae`` (one
    scale for all columns, at its closed-form optimum).
    ``levels`` names per column 0 for a number, or k >= 2 for a category coded 0, 1, ..., k - 1, which the encoder sees
    as zeros and a one and the decoder gives a softmax; ``()``: numbers only. Codes stay as they are in ``x``.
    """

    hidden: tuple[int, ...] = (64, 32)
    latent_dim: int = 16
    prior: str = "normal"
    num_components: int = 10
    decoder: str = "gaussian"
    schedule: str = "constant"
    epochs: int = 300
    batch_size: int = 64
    validation_share: float = 0.0
    levels: tuple[int, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "hidden", tuple(self.hidden))
        levels = categories.check_levels(self.levels)
        object.__setattr__(self, "levels", levels if any(levels) else ())
        _checks.one_of(self.prior, PRIORS, "prior")
        _checks.one_of(self.decoder, DECODERS, "decoder")
        _checks.one_of(self.schedule, SCHEDULES, "schedule")
        for name in ("latent_dim", "num_components", "epochs", "batch_size"):
            _whole(getattr(self, name), name, 1)
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"validation_share: expected 0 <= share < 1, got {self.validation_share!r}; 0.2 is usual")
        if not self.hidden or any(int(width) != width or width < 1 for width in self.hidden):
            raise ValueError(f"hidden: expected layer widths of at least 1, got {self.hidden!r}; name at least one")


@dataclass(frozen=True)
class PosteriorMixture:
    """Option B of the project plan: a Gaussian mixture on the latent codes of the training rows, fitted after training.

    ``num_draws`` posterior samples of each row are fitted, so that the mixture is one of the average posterior; 0 takes
    the posterior means alone. ``regularisation`` is added to the variances in each of the ``num_steps`` steps of EM.
    """

    num_components: int = 10
    num_draws: int = 5
    regularisation: float = 1e-3
    num_steps: int = 100

    def __post_init__(self):
        for name, lowest in (("num_components", 1), ("num_draws", 0), ("num_steps", 2)):
            _whole(getattr(self, name), name, lowest)
        _checks.positive(self.regularisation, "regularisation")


@dataclass(frozen=True)
class BayesianMixture:
    """Option B with its uncertainty: latent codes are drawn from the posterior of a Gaussian mixture of them.

    ``num_draws`` posterior samples of each row are fitted, each of which counts 1/num_draws, so that the posterior
    knows as many rows as there are; 0 takes the posterior means alone. A synthetic row comes from one of
    ``num_parameter_draws`` draws of the mixture's parameters. The others are those of ``bayes.mixture_posterior``;
    unlike EM it needs no number for the regularisation, and components that the rows do not need die.
    """

    num_components: int = 10
    num_draws: int = 5
    num_parameter_draws: int = 50
    weights: str = "stick_breaking"
    covariance: str = "full"
    concentration: float = 1.0
    num_starts: int = 4
    num_steps: int = 1000

    def __post_init__(self):
        for name, lowest in (
            ("num_components", 1),
            ("num_draws", 0),
            ("num_parameter_draws", 1),
            ("num_starts", 1),
            ("num_steps", 2),
        ):
            _whole(getattr(self, name), name, lowest)
        _checks.one_of(self.weights, ("stick_breaking", "dirichlet"), "weights")
        _checks.one_of(self.covariance, ("full", "diagonal"), "covariance")
        _checks.positive(self.concentration, "concentration")


class Hyper(NamedTuple):
    """Traced scalars: each may be an array with a replica axis in a sweep, and a new value compiles nothing.

    ``warmup`` is the share of the steps (for a cyclical schedule: of each of its ``num_cycles`` cycles) over which beta
    rises to ``beta_max``; ``min_scale`` is the floor of the decoder's scale in units of the (standardised) columns;
    ``free_bits`` is the KL in nats per latent dimension that costs nothing.
    """

    learning_rate: float | Float[Array, ""] = 1e-3
    beta_max: float | Float[Array, ""] = 0.5
    warmup: float | Float[Array, ""] = 0.5
    min_scale: float | Float[Array, ""] = 0.01
    free_bits: float | Float[Array, ""] = 0.0
    num_cycles: float | Float[Array, ""] = 4.0


def check_components(num_components: int, num_rows: int) -> None:
    """Refuse a mixture of more components than rows."""
    if num_components > num_rows:
        raise ValueError(
            f"num_components: expected at most the {num_rows} rows of the table, got {num_components}; lower it"
        )


def check(config: Config, hyper: Hyper, num_rows: int, num_columns: int) -> None:
    """Refuse values that cannot work, before anything is compiled."""
    for name, lowest, inclusive in (
        ("learning_rate", 0, False),
        ("beta_max", 0, True),
        ("warmup", 0, True),
        ("min_scale", 0, False),
        ("free_bits", 0, True),
        ("num_cycles", 1, True),
    ):
        value = np.asarray(getattr(hyper, name))
        if not (np.isfinite(value) & ((value >= lowest) if inclusive else (value > lowest))).all():
            bound = "at least" if inclusive else "above"
            raise ValueError(f"{name}: expected finite and {bound} {lowest}, got {value}; choose another value")
    if config.validation_share:
        num_rows -= max(1, int(config.validation_share * num_rows))
    if config.batch_size > num_rows:
        raise ValueError(
            f"batch_size: expected at most the {num_rows} rows of the table, got {config.batch_size}; lower it"
        )
    if config.prior == "gmm":
        check_components(config.num_components, num_rows)
    if num_columns < 1:
        raise ValueError("x: expected at least one column, got none; hand over a table with columns")
