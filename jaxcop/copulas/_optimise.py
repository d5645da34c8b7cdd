"""Unconstrained minimisation of a smooth function inside ``jit`` and ``vmap``."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float


class Minimum(NamedTuple):
    """The best point, the value there, and whether the gradient vanished."""

    x: Float[Array, "k"]
    value: Float[Array, ""]
    converged: Bool[Array, ""]


class _State(NamedTuple):
    x: Array
    value: Array
    slope: Array
    direction: Array
    length: Array
    memory: Any
    go_on: Array
    count: Array


def minimise(objective: Callable, start: Float[Array, "k"], *, max_evaluations: int = 400) -> Minimum:
    """Minimise ``objective`` by L-BFGS directions (optax) and Armijo steps (Nocedal and Wright 2006, chapters 3, 7).

    Scale the objective to order one (a mean, not a sum). Stops when no gradient entry exceeds eps**(1/2) or when no
    step improves more than rounding; ``converged`` says whether no entry exceeds eps**(1/3). A trial point whose value
    is not finite counts as a step too long. The loop body holds one evaluation: with a line search that repeats the
    objective, the t copula takes five times as long to compile.
    """
    eps = jnp.finfo(start.dtype).eps
    solver = optax.scale_by_lbfgs(memory_size=10)
    value_and_grad = jax.value_and_grad(objective)

    def step(state):
        trial = state.x + state.length * state.direction
        value, slope = value_and_grad(trial)
        finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(slope))
        descent = jnp.vdot(state.slope, state.direction)
        # The first trial is the start itself, taken as it is. The slack lets a step at rounding level pass.
        first = state.count == 0
        slack = eps * jnp.maximum(1, jnp.abs(value))
        accept = first | (finite & (value <= state.value + 1e-4 * state.length * descent + slack))
        # Memory takes pairs of positive curvature only: with any other the next direction may lead uphill.
        curvature = jnp.vdot(slope - state.memory.updates, trial - state.memory.params)
        scaled, memory = solver.update(slope, state.memory, trial)
        scaled = jnp.asarray(scaled, start.dtype)
        learn = accept & ((curvature > 0) | first)
        memory = jax.tree.map(lambda new, old: jnp.where(learn, new, old), memory, state.memory)
        downhill = learn & (jnp.vdot(scaled, slope) > 0)
        direction = -jnp.where(downhill, scaled, slope / jnp.maximum(1, jnp.linalg.norm(slope)))
        length = jnp.where(accept, 1, state.length / 2)
        flat = jnp.max(jnp.abs(slope)) <= eps**0.5
        stalled = ~first & (state.value - value <= slack)
        return _State(
            jnp.where(accept, trial, state.x),
            jnp.where(accept, value, state.value),
            jnp.where(accept, slope, state.slope),
            jnp.where(accept, direction, state.direction),
            length,
            memory,
            jnp.where(accept, finite & ~flat & ~stalled, length > eps),
            state.count + 1,
        )

    zeros = jnp.zeros_like(start)
    one = jnp.ones((), start.dtype)
    state = _State(start, jnp.inf * one, zeros, zeros, one, solver.init(start), jnp.asarray(True), jnp.asarray(0))
    state = jax.lax.while_loop(lambda s: s.go_on & (s.count < max_evaluations), step, state)
    return Minimum(state.x, state.value, jnp.isfinite(state.value) & jnp.all(jnp.abs(state.slope) < eps ** (1 / 3)))
