"""The table of families: one row each."""

from jaxcop.copulas import clayton, gaussian, independence, student_t
from jaxcop.copulas._contract import Copula

FAMILIES: dict[str, Copula] = {
    copula.name: copula for copula in (independence.COPULA, gaussian.COPULA, student_t.COPULA, clayton.COPULA)
}
