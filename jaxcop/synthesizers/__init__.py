"""Generators, controls and baselines under one contract, so that one loop evaluates them all."""

from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers.controls import bootstrap, independent, smoothed, unchanged
from jaxcop.synthesizers.copula import copula, gaussian_mixture_copula
from jaxcop.synthesizers.imbalanced import david, imbalanced_arms, oversample, smoothed_pca, smoothed_raw
from jaxcop.synthesizers.tables import NAMED, TableModel, fit_table, padded, sample_chunks, sample_table
from jaxcop.synthesizers.vae import vae

__all__ = [
    "NAMED",
    "Synthesizer",
    "TableModel",
    "bootstrap",
    "copula",
    "david",
    "fit_table",
    "gaussian_mixture_copula",
    "imbalanced_arms",
    "independent",
    "oversample",
    "padded",
    "sample_chunks",
    "sample_table",
    "smoothed",
    "smoothed_pca",
    "smoothed_raw",
    "unchanged",
    "vae",
]
