"""Generators, controls and baselines under one contract, so that one loop evaluates them all."""

from jaxcop.synthesizers._contract import Synthesizer
from jaxcop.synthesizers.controls import bootstrap, independent, smoothed
from jaxcop.synthesizers.copula import copula, gaussian_mixture_copula
from jaxcop.synthesizers.vae import vae

__all__ = [
    "Synthesizer",
    "bootstrap",
    "copula",
    "gaussian_mixture_copula",
    "independent",
    "smoothed",
    "vae",
]
