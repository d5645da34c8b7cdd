"""Imbalanced regression: weights, relevance, smoothed bootstrap, the balanced beta-VAE, resampling and scores.

The arms of the ablation, DAVID among them, are synthesizers: ``jaxcop.synthesizers.imbalanced_arms``.
"""

from jaxcop.imbalanced.autoencoder import Config, Hyper, Trained, published_sizes
from jaxcop.imbalanced.bootstrap import (
    adaptive_factors,
    bandwidth,
    draw_rows,
    inverse_density_draw,
    mix,
    smoothed_bootstrap,
)
from jaxcop.imbalanced.density import class_weights, density_weights, log_density
from jaxcop.imbalanced.relevance import ControlPoints, automatic_points, control_points, relevance
from jaxcop.imbalanced.resampling import (
    RESAMPLERS,
    gaussian_noise,
    random_oversample,
    random_undersample,
    smogn,
    smoter,
    wercs,
)
from jaxcop.imbalanced.scores import Bands, by_relevance, mape, median_absolute_error, sera, weighted_mse

__all__ = [
    "RESAMPLERS",
    "Bands",
    "Config",
    "ControlPoints",
    "Hyper",
    "Trained",
    "adaptive_factors",
    "automatic_points",
    "bandwidth",
    "by_relevance",
    "class_weights",
    "control_points",
    "density_weights",
    "draw_rows",
    "gaussian_noise",
    "inverse_density_draw",
    "log_density",
    "mape",
    "median_absolute_error",
    "mix",
    "published_sizes",
    "random_oversample",
    "random_undersample",
    "relevance",
    "sera",
    "smogn",
    "smoothed_bootstrap",
    "smoter",
    "weighted_mse",
    "wercs",
]
