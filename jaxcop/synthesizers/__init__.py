"""Generators, controls and baselines under one contract, so that one loop evaluates them all."""

from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers.conditional import Report, sample_given
from jaxcop.synthesizers.conditional_tables import sample_table_given
from jaxcop.synthesizers.controls import bootstrap, independent, smoothed, unchanged
from jaxcop.synthesizers.copula import copula, gaussian_mixture_copula
from jaxcop.synthesizers.imbalanced import david, imbalanced_arms, oversample, smoothed_pca, smoothed_raw
from jaxcop.synthesizers.purpose import Target, rebalance, rebalance_table, stress, tail, target
from jaxcop.synthesizers.tables import NAMED, Acceptance, TableModel, fit_table, padded, sample_chunks, sample_table
from jaxcop.synthesizers.vae import vae

__all__ = [
    "NAMED",
    "Acceptance",
    "Report",
    "Synthesizer",
    "TableModel",
    "Target",
    "bootstrap",
    "copula",
    "david",
    "fit_table",
    "gaussian_mixture_copula",
    "imbalanced_arms",
    "independent",
    "oversample",
    "padded",
    "rebalance",
    "rebalance_table",
    "sample_chunks",
    "sample_given",
    "sample_table",
    "sample_table_given",
    "smoothed",
    "smoothed_pca",
    "smoothed_raw",
    "stress",
    "tail",
    "target",
    "unchanged",
    "vae",
]
