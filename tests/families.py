"""The table of copula cases that every invariant runs over, and the reference values: a family costs one row."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxcop import mixture
from jaxcop.copulas import (
    Copula,
    blend,
    clayton,
    frank,
    gaussian,
    gaussian_mixture,
    gumbel,
    independence,
    joe,
    mixture_of,
    rotated,
    student_t,
    survival,
)

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
    """A copula with parameters (arrays of float64) in a dimension."""

    name: str
    copula: Copula
    dim: int
    arrays: Any

    @property
    def has_params(self) -> bool:
        return self.copula.num_params(self.dim) > 0

    def params(self, dtype="float64"):
        return jax.tree.map(lambda array: jnp.asarray(array, dtype), self.arrays)


def _case(family: str, dim: int, *numbers) -> Case:
    shown = " ".join(str(number) for number in numbers if not isinstance(number, list))
    module = BUILT[family]
    return Case(f"{family} d={dim} {shown}".strip(), module.COPULA, dim, module.Params(*map(np.array, numbers)))


_MIXTURE = mixture.Params(
    np.log([0.5, 0.3, 0.2]),
    np.array([[0.0, 0.0, 0.0], [1.5, -1.0, 0.5], [-2.0, 1.0, 1.0]]),
    np.array([np.linalg.cholesky(np.array(_THREE)), np.diag([0.5, 1.5, 1.0]), np.tri(3) * 0.6]),
)
_BLEND = mixture_of(clayton.COPULA, survival(gumbel.COPULA))
CASES = (
    _case("independence", 3),
    _case("gaussian", 2, _TWO),
    _case("gaussian", 3, _THREE),
    _case("student_t", 3, _THREE, 4.0),
    _case("clayton", 2, 0.01),
    _case("clayton", 3, 2.0),
    _case("clayton", 5, 12.0),
    _case("gumbel", 3, 2.0),
    _case("gumbel", 2, 1.1),
    _case("frank", 3, 5.0),
    _case("frank", 2, -3.0),
    _case("joe", 3, 2.0),
    _case("joe", 2, 6.0),
    Case("survival clayton d=3", survival(clayton.COPULA), 3, clayton.Params(np.array(2.0))),
    Case("gumbel 90 d=2", rotated(gumbel.COPULA, 90), 2, gumbel.Params(np.array(2.0))),
    Case(
        "blend d=3",
        _BLEND,
        3,
        blend.Params(
            np.log([0.6, 0.4]),
            (clayton.Params(np.array(3.0)), gumbel.Params(np.array(2.0))),
        ),
    ),
    Case("gaussian mixture d=3", gaussian_mixture.copula(3), 3, _MIXTURE),
)
# Left out of the table, as it takes long to compile and shares its two-dimensional branch with the Gaussian.
STUDENT_T_TWO = _case("student_t", 2, _TWO, 2.5)


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
