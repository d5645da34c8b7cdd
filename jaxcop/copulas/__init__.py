"""Copula families as pure functions, and their estimation."""

from jaxcop.copulas import clayton, frank, gaussian, gumbel, independence, joe, student_t
from jaxcop.copulas._contract import Copula, TailDependence
from jaxcop.copulas._table import FAMILIES
from jaxcop.copulas.fitting import Fit, Row, Selection, fit, pseudo_observations, select

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
    "gumbel",
    "independence",
    "joe",
    "pseudo_observations",
    "select",
    "student_t",
]
