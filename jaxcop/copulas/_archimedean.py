"""What the one-parameter Archimedean families share: C(u) = psi(sum phi(u_i)), phi the inverse of the generator psi.

Notation of Hofert, Maechler and McNeil (2012): t = sum phi(u_i), D_m(t) = log((-1)**m psi^(m)(t)). The conditional
distribution of u_j given the coordinates before it is exp(D_{j-1}(t_j) - D_{j-1}(t_{j-1})), t_j the sum of the first j.
"""

import math
from collections.abc import Callable
from functools import cache, partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from jaxcop import correlation
from jaxcop._numerics import concrete, open_unit, uniforms

# Stands for the log of zero where logs are added: finite, so that no derivative is 0 * infinity.
LOG_ZERO = -1e30


def check_theta(theta, low: float):
    """``theta`` as it is, so that a Python number adapts to its points; or say why it is outside [low, infinity)."""
    values = concrete(theta)
    if values is not None and not (values.shape == () and np.isfinite(values) and values >= low):
        bound = "" if low == -np.inf else f" >= {low:g}"
        raise ValueError(f"theta: expected one finite number{bound}, got {values}; use vmap for several")
    return theta


def mean_tau(u: Float[Array, "n d"], mask, low: float) -> Float[Array, ""]:
    """Mean of Kendall's tau over the pairs of columns, moved into [low, 1)."""
    tau = correlation.masked_kendall_tau(u, mask)
    return jnp.clip(jnp.mean(tau[jnp.tril_indices(u.shape[1], -1)]), low, 1 - jnp.finfo(u.dtype).eps)


@cache
def log_stirling(dim: int) -> np.ndarray:
    """log S2(m, k+1) for m = 1..dim (rows) and k = 0..dim-1: Stirling numbers of the second kind, exact integers.

    ``LOG_ZERO`` where they are zero.
    """
    table = np.full((dim, dim), LOG_ZERO)
    row = [1]
    for m in range(1, dim + 1):
        table[m - 1, :m] = [math.log(s) for s in row]
        row = [(k + 1) * s + (row[k - 1] if k else 0) for k, s in enumerate([*row, 0])]
    return table


def log_polynomial(log_coefficients: Array, log_x: Array) -> Array:
    """log sum_k exp(c_k) x**k, k = 0.. along the last axis of the coefficients, for positive terms."""
    columns = jnp.moveaxis(log_coefficients, -1, 0)
    terms = [column + k * log_x for k, column in enumerate(columns)]
    # Column by column, so that nothing larger than log_x is kept in memory.
    top = jax.lax.stop_gradient(reduce(jnp.maximum, terms))
    return top + jnp.log(sum(jnp.exp(term - top) for term in terms))


def log1p_product(factor: Array, log_other: Array) -> Array:
    """log(1 + factor * exp(log_other)) for factor >= 0, exact and differentiable at factor = 0 and without overflow."""
    cap = float(np.log(np.finfo(log_other.dtype).max)) / 2
    product = factor * jnp.exp(jnp.minimum(log_other, cap))
    small = product < 1
    log_product = jnp.log(jnp.where(small, 1, factor)) + log_other
    return jnp.where(
        small,
        jnp.log1p(jnp.where(small, product, 0)),
        log_product + jnp.log1p(jnp.exp(-jnp.where(small, 0, log_product))),
    )


def with_forward_slope(function: Callable) -> Callable:
    """``function(u, theta)``, compiled, with the derivative in theta taken forwards, point by point.

    Reverse mode would sum over the points once for every place where theta enters.
    """
    wrapped = jax.custom_jvp(function)

    def rule(primals, tangents):
        (u, theta), (du, dtheta) = primals, tangents
        value, slope = jax.jvp(lambda theta: function(u, theta), (theta,), (jnp.ones_like(theta),))
        change = jnp.zeros_like(value)
        if not isinstance(dtheta, SymbolicZero):
            change = slope * dtheta
        if not isinstance(du, SymbolicZero):
            change = change + jax.jvp(lambda u: function(u, theta), (u,), (du,))[1]
        return value, change

    wrapped.defjvp(rule, symbolic_zeros=True)
    return jax.jit(wrapped)


def implicit_inverse(forward: Callable, solve: Callable) -> Callable:
    """``solve(w, *parameters)`` as the inverse of ``forward(u, *parameters)`` in ``u``, with its exact derivatives.

    du = J**-1 (dw - forward_parameters dparameters); J = d forward / d u is lower triangular.
    """
    inverse = jax.custom_jvp(jax.jit(solve))

    @inverse.defjvp
    def _(primals, tangents):
        w, *parameters = primals
        dw, *changes = tangents
        u = inverse(w, *parameters)
        jacobian = jax.vmap(jax.jacfwd(forward), (0, *[None] * len(parameters)))
        slope = jacobian(u.reshape(-1, u.shape[-1]), *parameters).reshape(*u.shape, u.shape[-1])
        _, moved = jax.jvp(lambda *p: forward(u, *p), tuple(parameters), tuple(changes))
        right = (dw - moved)[..., None]
        return u, jax.scipy.linalg.solve_triangular(slope, right, lower=True)[..., 0]

    return inverse


def solve_increasing(function: Callable, start: Array, *, max_steps: int = 60) -> Array:
    """Elementwise root of an increasing function near ``start``: Newton steps, in a bracket that bisection shrinks.

    ``function`` maps an array to an array of the same shape, elementwise. Stops when no element moves by more than
    rounding. Not differentiated: see :func:`implicit_inverse`.
    """
    eps = jnp.finfo(start.dtype).eps

    def step(state):
        x, low, high, done, count = state
        value, slope = jax.jvp(function, (x,), (jnp.ones_like(x),))
        low = jnp.where(value <= 0, x, low)
        high = jnp.where(value >= 0, x, high)
        newton = x - value / slope
        # Before both ends are known, steps double away from the start at most.
        known = jnp.isfinite(high - low)
        middle = jnp.where(known, low + (high - low) / 2, x - jnp.sign(value) * (1 + jnp.abs(x)))
        inside = (newton > low) & (newton < high) & (jnp.abs(newton - x) <= 2 + 2 * jnp.abs(x))
        # A step below rounding ends the search, also where it rounds to x, which is an end of the bracket.
        least = 2 * eps * jnp.maximum(jnp.abs(x), eps**0.5)
        new = jnp.where(done | (value == 0), x, jnp.where(inside | (jnp.abs(newton - x) <= least), newton, middle))
        settled = jnp.abs(new - x) <= least
        return new, low, high, done | settled | ~jnp.isfinite(value), count + 1

    ends = jnp.full_like(start, jnp.inf)
    state = (start, -ends, ends, jnp.zeros(start.shape, bool), 0)
    return jax.lax.while_loop(lambda s: ~jnp.all(s[3]) & (s[4] < max_steps), step, state)[0]


def box_cox_root(share: Array, target: Array, alpha) -> Array:
    """s > -1 with share s + (1 - share) ((1 + s)**alpha - 1) / alpha = target, an error of order s**3.

    From the Pade approximation s / (1 + (1 - alpha) s / 2) of the second term, which is log(1 + s) for alpha = 0.
    For target <= 0, or small.
    """
    bend = (1 - alpha) / 2
    linear = 1 - bend * target
    return 2 * target / (linear + jnp.sqrt(linear**2 + 4 * bend * share * target))


def rosenblatt_pair(
    log_generator: Callable, generate: Callable, conditional: Callable, coefficients: Callable, solve_two: Callable
):
    """The compiled Rosenblatt transform of a family and its inverse, functions of (points, theta).

    ``log_generator(u, theta)`` = log phi(u); ``generate(log_t, theta)`` = psi(t); ``coefficients(theta, dim)`` has a
    row for every m = 1..dim-1; ``conditional(log_gain, log_before, theta, m, row)`` = -log P(U_j <= u_j | m = j-1
    before) from log phi(u_j) and log t_{j-1}; ``solve_two(u_1, w, theta)`` = u_2 with P(U_2 <= u_2 | u_1) = w.
    """

    @jax.jit
    def rosenblatt(u, theta):
        dim = u.shape[-1]
        gains = log_generator(u, theta)
        before = jax.lax.cumlogsumexp(gains, axis=u.ndim - 1)[..., :-1]
        m = jnp.arange(1, dim, dtype=u.dtype)
        rest = conditional(gains[..., 1:], before, theta, m, coefficients(theta, dim))
        return jnp.concatenate([u[..., :1], jnp.exp(-rest)], -1)

    def solve(w, theta):
        if w.shape[-1] == 2:
            return open_unit(jnp.stack([w[..., 0], solve_two(w[..., 0], w[..., 1], theta)], -1))
        columns = jnp.moveaxis(w, -1, 0)
        m = jnp.arange(1, w.shape[-1], dtype=w.dtype)

        def step(log_before, inputs):
            target, m, row = inputs
            goal = jnp.log(-jnp.log(target))

            def excess(z):
                rest = conditional(log_before + z, log_before, theta, m, row)
                return jnp.log(jnp.maximum(rest, jnp.finfo(z.dtype).tiny)) - goal

            # In z = log(phi(u_j) / t_{j-1}) the function is nearly straight at both ends.
            log_gain = log_before + solve_increasing(excess, goal)
            return jnp.logaddexp(log_before, log_gain), log_gain

        first = log_generator(columns[0], theta)
        _, gains = jax.lax.scan(step, first, (columns[1:], m, coefficients(theta, w.shape[-1])))
        rest = open_unit(generate(gains, theta))
        return jnp.moveaxis(jnp.concatenate([columns[:1], rest]), 0, -1)

    return rosenblatt, implicit_inverse(rosenblatt, solve)


def in_order(a: Array, b: Array) -> tuple[Array, Array]:
    """The smaller and the larger, which at a tie are ``a`` and ``b``, in every derivative too.

    ``minimum``, ``maximum`` and ``abs`` have sub-gradients there that belong to no function: an identity written with
    them has wrong derivatives at points of equal coordinates, of which ranks are full.
    """
    swap = b < a
    return jnp.where(swap, b, a), jnp.where(swap, a, b)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def invert_tau(tau_of: Callable, tau: Array, start: Array) -> Array:
    """theta with ``tau_of(theta)`` = tau, elementwise, by Newton's method from ``start``; differentiable in tau."""
    return solve_increasing(lambda theta: tau_of(theta) - tau, start)


@invert_tau.defjvp
def _(tau_of, primals, tangents):
    theta = invert_tau(tau_of, *primals)
    _, slope = jax.jvp(tau_of, (theta,), (jnp.ones_like(theta),))
    return theta, tangents[0] / slope


def log_exponentials(key, shape, dtype) -> Array:
    """Logs of independent standard exponentials."""
    return jnp.log(-jnp.log(uniforms(key, shape, dtype)))


def sample_by_mixing(key, generate: Callable, log_mixing: Array, theta: Array, shape: tuple[int, ...]) -> Array:
    """psi(E_i / V) for exponentials E_i and one V per point, whose Laplace transform is psi.

    Source: Marshall and Olkin (1988).
    """
    log_e = log_exponentials(key, shape, theta.dtype)
    return open_unit(generate(log_e - log_mixing[..., None], theta))


def upper_tail(theta: Array) -> Array:
    """2 - 2**(1/theta) as -2 expm1((1/theta - 1) log 2)."""
    return -2 * jnp.expm1((1 - theta) / theta * math.log(2))


def num_params(dim: int) -> int:
    """One, in every dimension.

    >>> num_params(8)
    1
    """
    return 1
