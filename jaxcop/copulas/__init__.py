"""Copula families as pure functions, and their estimation."""

from jaxcop.copulas import clayton, frank, gaussian, gaussian_mixture, gumbel, independence, joe, student_t
from jaxcop.copulas._contract import Copula, TailDependence
from jaxcop.copulas._table import FAMILIES
from jaxcop.copulas.blend import mixture_of
from jaxcop.copulas.fitting import Fit, Row, Selection, fit, pseudo_observations, select
from jaxcop.copulas.rotation import rotated, survival

__all__ = [
    "FAMILIES",
    "Copula",
    "Fit",
    "Row",
    "Selection",
    "TailDependence",
    "clayton",
    "fit",
    "frank",
    "gaussian",
    "gaussian_mixture",
    "gumbel",
    "independence",
    "joe",
    "mixture_of",
    "pseudo_observations",
    "rotated",
    "select",
    "student_t",
    "survival",
]
