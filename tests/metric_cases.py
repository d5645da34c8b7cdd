"""Inputs of the metric tests: the six reference cases, and one table of metrics that all promise the same things."""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxcop import metrics

FOLDER = Path(__file__).parent / "reference"
REFERENCE = json.loads((FOLDER / "metrics.json").read_text())["cases"]
NULL = json.loads((FOLDER / "null_calibration.json").read_text())
EQUICORRELATED = np.linalg.cholesky(np.full((6, 6), 0.6) + 0.4 * np.eye(6)).T


def _same(rng):
    return rng.normal(size=(262, 6)), rng.normal(size=(262, 6))


def _shifted(rng):
    real = rng.normal(size=(262, 6)) @ EQUICORRELATED
    return real, 0.8 * (rng.normal(size=(262, 6)) @ EQUICORRELATED) + 0.25


def _skewed(rng):
    real = rng.lognormal(0.0, 0.8, size=(210, 4))
    return real, rng.normal(real.mean(0), real.std(0), size=(840, 4))


def _ties(rng):
    return np.round(rng.normal(size=(20, 2)), 1), np.round(rng.normal(0.3, 1.2, size=(25, 2)), 1)


def _memoriser(rng):
    real = rng.normal(size=(100, 3))
    return real, real[rng.integers(0, 100, 100)] + 1e-3 * rng.normal(size=(100, 3))


def _mode_drop(rng):
    real = np.concatenate([rng.normal(-3, 1, (130, 2)), rng.normal(3, 1, (132, 2))])
    return real, rng.normal(-3, 1, (262, 2))


MAKERS = (_same, _shifted, _skewed, _ties, _memoriser, _mode_drop)
CASES = {
    name: make(np.random.default_rng(seed)) for seed, (name, make) in enumerate(zip(REFERENCE, MAKERS, strict=True))
}


class Metric(NamedTuple):
    """``smooth``: the value moves with the data and not with their order only; ``needs_spread``: no constant column."""

    function: object
    smooth: bool
    needs_spread: bool


# float32, so that it follows the dtype of the tables beside it.
HOLDOUT = np.random.default_rng(8).normal(size=(12, 3)).astype("float32")


def _dcr_share(real, synthetic):
    return metrics.dcr_share(real, HOLDOUT, synthetic)


def _membership_auc(real, synthetic):
    return metrics.membership_auc(real, HOLDOUT, synthetic)


METRICS = {
    "ks": Metric(metrics.ks, False, False),
    "anderson_darling": Metric(metrics.anderson_darling, False, False),
    "total_variation": Metric(metrics.total_variation, False, False),
    "total_variation_width": Metric(partial(metrics.total_variation, binning="width", bins=7), False, False),
    "range_coverage": Metric(metrics.range_coverage, True, True),
    "wasserstein": Metric(metrics.wasserstein, True, True),
    "mmd": Metric(metrics.mmd, True, True),
    "frechet": Metric(metrics.frechet, True, True),
    "dcr": Metric(metrics.dcr, True, True),
    "category_coverage": Metric(metrics.category_coverage, False, False),
    "prdc": Metric(metrics.prdc, False, True),
    "alpha_beta": Metric(metrics.alpha_beta, False, True),
    "correlation_error": Metric(metrics.correlation_error, True, True),
    "tail_dependence_error": Metric(metrics.tail_dependence_error, False, True),
    "nndr": Metric(metrics.nndr, True, True),
    "authenticity": Metric(metrics.authenticity, False, True),
    "dcr_share": Metric(_dcr_share, False, True),
    "membership_auc": Metric(_membership_auc, False, True),
    "fidelity": Metric(metrics.fidelity, True, True),
}
