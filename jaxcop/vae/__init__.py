"""Variational autoencoders for small tables of numbers."""

from jaxcop.vae.config import Config, Hyper
from jaxcop.vae.sampling import encode, reconstruct, sample
from jaxcop.vae.training import Info, State, Trained, fit, fit_masked, init, step

__all__ = [
    "Config",
    "Hyper",
    "Info",
    "State",
    "Trained",
    "encode",
    "fit",
    "fit_masked",
    "init",
    "reconstruct",
    "sample",
    "step",
]
