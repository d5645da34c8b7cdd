"""Copula families as pure functions, and their estimation."""

from jaxcop.copulas import (
    clayton,
    conditional,
    frank,
    gaussian,
    gaussian_mixture,
    gumbel,
    independence,
    joe,
    latent,
    student_t,
)
from jaxcop.copulas._contract import Copula, TailDependence
from jaxcop.copulas._table import FAMILIES
from jaxcop.copulas.blend import mixture_of
from jaxcop.copulas.fitting import Fit, Row, Selection, fit, pseudo_observations, select
from jaxcop.copulas.goodness import GoodnessOfFit, goodness_of_fit
from jaxcop.copulas.inference import Interval, StandardErrors, interval, standard_errors
from jaxcop.copulas.rotation import rotated, survival
from jaxcop.copulas.validation import CrossValidation, HeldOut, cross_validated, held_out

__all__ = [
    "FAMILIES",
    "Copula",
    "CrossValidation",
    "Fit",
    "GoodnessOfFit",
    "HeldOut",
    "Interval",
    "Row",
    "Selection",
    "StandardErrors",
    "TailDependence",
    "clayton",
    "conditional",
    "cross_validated",
    "fit",
    "frank",
    "gaussian",
    "gaussian_mixture",
    "goodness_of_fit",
    "gumbel",
    "held_out",
    "independence",
    "interval",
    "joe",
    "latent",
    "mixture_of",
    "pseudo_observations",
    "rotated",
    "select",
    "standard_errors",
    "student_t",
    "survival",
]
