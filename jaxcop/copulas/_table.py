"""The table of families: one row each."""

from jaxcop.copulas import clayton, frank, gaussian, gumbel, independence, joe, student_t
from jaxcop.copulas._contract import Copula

FAMILIES: dict[str, Copula] = {
    module.COPULA.name: module.COPULA for module in (independence, gaussian, student_t, clayton, gumbel, frank, joe)
}
"""Every family without options, by its name."""
