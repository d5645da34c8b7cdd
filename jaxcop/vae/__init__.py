"""Variational autoencoders for small tables of numbers."""

from jaxcop.vae.config import Config, Hyper
from jaxcop.vae.elbo import Terms, elbo, terms
from jaxcop.vae.networks import networks
from jaxcop.vae.sampling import encode, reconstruct, sample
from jaxcop.vae.training import Info, State, Trained, fit, fit_masked, init, step

__all__ = [
    "Config",
    "Hyper",
    "Info",
    "State",
    "Terms",
    "Trained",
    "elbo",
    "encode",
    "fit",
    "fit_masked",
    "init",
    "networks",
    "reconstruct",
    "sample",
    "step",
    "terms",
]
