"""The table of copula cases that every invariant runs over, and the reference values: a family costs one row."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxcop.copulas import clayton, frank, gaussian, gumbel, independence, joe, student_t

REFERENCE = json.loads((Path(__file__).parent / "reference" / "copulas.json").read_text())
BUILT = {
    "independence": independence,
    "gaussian": gaussian,
    "student_t": student_t,
    "clayton": clayton,
    "gumbel": gumbel,
    "frank": frank,
    "joe": joe,
}
# By one positive number, theta, in any dimension.
ARCHIMEDEAN = ("clayton", "gumbel", "frank", "joe")

_THREE = [[1.0, 0.5, 0.3], [0.5, 1.0, 0.4], [0.3, 0.4, 1.0]]
_TWO = [[1.0, -0.6], [-0.6, 1.0]]


class Case(NamedTuple):
    """A family with parameters (numbers) in a dimension."""

    name: str
    family: str
    dim: int
    numbers: tuple

    @property
    def module(self) -> Any:
        return BUILT[self.family]

    def params(self, dtype="float64"):
        return self.module.Params(*(jnp.asarray(number, dtype) for number in self.numbers))


CASES = (
    Case("independence", "independence", 3, ()),
    Case("gaussian d=2", "gaussian", 2, (_TWO,)),
    Case("gaussian d=3", "gaussian", 3, (_THREE,)),
    Case("t d=3 df=4", "student_t", 3, (_THREE, 4.0)),
    Case("clayton d=2 theta=0.01", "clayton", 2, (0.01,)),
    Case("clayton d=3 theta=2", "clayton", 3, (2.0,)),
    Case("clayton d=5 theta=12", "clayton", 5, (12.0,)),
    Case("gumbel d=3 theta=2", "gumbel", 3, (2.0,)),
    Case("gumbel d=2 theta=1.1", "gumbel", 2, (1.1,)),
    Case("frank d=3 theta=5", "frank", 3, (5.0,)),
    Case("frank d=2 theta=-3", "frank", 2, (-3.0,)),
    Case("joe d=3 theta=2", "joe", 3, (2.0,)),
    Case("joe d=2 theta=6", "joe", 2, (6.0,)),
)
# Left out of the table, as it takes long to compile and shares its two-dimensional branch with the Gaussian.
STUDENT_T_TWO = Case("t d=2 df=2.5", "student_t", 2, (_TWO, 2.5))


def points(dim: int, num: int = 7, dtype="float64"):
    """A few points inside the cube, the same on every machine."""
    golden = (1 + np.arange(num * dim).reshape(num, dim)) * 0.6180339887498949
    return jnp.asarray(0.02 + 0.96 * (golden % 1), dtype)


def from_reference(case: dict, dtype="float64"):
    """(module, Params) of one reference case."""
    numbers = case["params"]
    if "theta" in numbers:
        module = BUILT[case["family"]]
        return module, module.Params(jnp.asarray(numbers["theta"], dtype))
    matrix = numbers["R"] if "R" in numbers else [[1.0, numbers["rho"]], [numbers["rho"], 1.0]]
    matrix = jnp.asarray(matrix, dtype)
    if "nu" in numbers:
        return student_t, student_t.Params(matrix, jnp.asarray(numbers["nu"], dtype))
    return gaussian, gaussian.Params(matrix)


def reference_slopes(params) -> dict:
    """Derivatives by the names of the reference, from a gradient with respect to Params."""
    named = {"theta": getattr(params, "theta", None), "nu": getattr(params, "df", None)}
    if hasattr(params, "correlation"):
        named["rho"] = params.correlation[0, 1] + params.correlation[1, 0]
    return named


def reference(quantity: str, *families: str) -> list:
    """The auxiliary reference cases of one quantity."""
    return [c for c in REFERENCE["aux_cases"] if c["quantity"] == quantity and c["family"] in families]
