"""The contract of everything that learns a table and draws rows from it.

The functions that return a synthesizer are cached: the same arguments give the same object, and so the same compiled
programs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Synthesizer(NamedTuple):
    """A generator as two pure functions; both run under ``jit`` and ``vmap``, with a replica axis if wanted.

    Attributes:
        fit: ``fit(key, x[n, d], mask[n], hyper) -> fitted``; rows where ``mask`` is false do not count, which lets
            tables of different length share one program.
        sample: ``sample(key, fitted, n) -> rows[n, d]`` in the units of ``x``; ``n`` is static.
        hyper: default of the traced hyper-parameters (a NamedTuple of numbers, or ``()``): a tuning axis.
        check: ``check(x, hyper)`` raises ``ValueError`` before anything is compiled.
        given: ``given(key, fitted, condition, n) -> Drawn`` (see ``synthesizers.sample_given``), or None.
    """

    fit: Callable[..., Any]
    sample: Callable[..., Any]
    hyper: Any
    check: Callable[..., None]
    given: Callable[..., Any] | None = None
