"""Ways to explore a log-density on a flat vector, for compiled code: one NUTS chain, and a factorised Gaussian."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from numpyro.infer import NUTS

SVI_RATE, SVI_PAIRS, BOUND_PAIRS = 0.02, 2, 128


def nuts(key, log_density, start, num_warmup: int, num_draws: int):
    """``(draws[s, k], diverged[s])`` of one chain (Hoffman and Gelman 2014)."""
    # Chains of one program wait for the longest trajectory. In one dimension three steps, adapted, reach all of it; in
    # more the steps are kept short, as correlations near singular would diverge.
    depth, accept = (2, 0.9) if start.size == 1 else (10, 0.95)
    kernel = NUTS(potential_fn=lambda z: -log_density(z), max_tree_depth=depth, target_accept_prob=accept)
    state = kernel.init(key, num_warmup, start, (), {})

    def step(state, _):
        state = kernel.sample(state, (), {})
        return state, (state.z, state.diverging)

    # One loop for both phases: the kernel, which is most of the program, is compiled once.
    draws = jax.lax.scan(step, state, None, num_warmup + num_draws)[1]
    return jax.tree.map(lambda leaf: leaf[num_warmup:], draws)


def factorised(key, key_bound, log_density, mean, sd, num_steps: int):
    """``(mean, sd, bound, standard error of bound)``: the independent normals with the highest evidence bound.

    ``key_bound`` draws the noise of the final bound, which is comparable between calls that share it. Adam on
    reparametrised draws (Kingma and Welling 2014), in pairs of opposite sign, which takes much noise from the slope.
    """
    optimiser = optax.adam(optax.cosine_decay_schedule(SVI_RATE, num_steps))

    def bounds(parts, key, pairs):
        mean, log_sd = parts
        noise = jax.random.normal(key, (pairs, len(mean)), mean.dtype)
        joint = jax.vmap(lambda e: log_density(mean + jnp.exp(log_sd) * e) + log_density(mean - jnp.exp(log_sd) * e))
        # Less the log-density of the draws themselves: where the normals fit, what is left hardly varies.
        return joint(noise) / 2 + log_sd.sum() + (noise**2).sum(-1) / 2 + 0.5 * len(mean) * math.log(2 * math.pi)

    def step(carry, key):
        parts, moments = carry
        slope = jax.grad(lambda parts: -bounds(parts, key, SVI_PAIRS).mean())(parts)
        slope = jax.tree.map(lambda s: jnp.where(jnp.isfinite(s), s, 0), slope)
        updates, moments = optimiser.update(slope, moments)
        return (optax.apply_updates(parts, updates), moments), None

    parts: Any = (mean, jnp.log(sd))
    (parts, _), _ = jax.lax.scan(step, (parts, optimiser.init(parts)), jax.random.split(key, num_steps))
    found = jax.lax.map(lambda key: bounds(parts, key, 1)[0], jax.random.split(key_bound, BOUND_PAIRS))
    return parts[0], jnp.exp(parts[1]), found.mean(), found.std(ddof=1) / math.sqrt(BOUND_PAIRS)
