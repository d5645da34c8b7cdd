"""Variational autoencoders for small tables of numbers."""

from jaxcop.vae.config import BayesianMixture, Config, Hyper, PosteriorMixture
from jaxcop.vae.diagnostics import Diagnostics, diagnose
from jaxcop.vae.likelihood import LogLikelihood, log_likelihood
from jaxcop.vae.sampling import encode, fit_posterior_mixture, latent_codes, reconstruct, sample
from jaxcop.vae.training import Info, State, Trained, fit, fit_masked, init, step

__all__ = [
    "BayesianMixture",
    "Config",
    "Diagnostics",
    "Hyper",
    "Info",
    "LogLikelihood",
    "PosteriorMixture",
    "State",
    "Trained",
    "diagnose",
    "encode",
    "fit",
    "fit_masked",
    "fit_posterior_mixture",
    "init",
    "latent_codes",
    "log_likelihood",
    "reconstruct",
    "sample",
    "step",
]
