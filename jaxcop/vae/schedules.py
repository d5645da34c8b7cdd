"""The weight beta of the KL term along training, as functions of progress in [0, 1]."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# The logistic curve reaches 1 % and 99 % of beta_max at the ends of the warm-up.
SIGMOID_RANGE = 9.19


def beta(
    schedule: str,
    progress: Float[Array, "*b"],
    beta_max: float | Float[Array, ""],
    warmup: float | Float[Array, ""],
    num_cycles: float | Float[Array, ""] = 4.0,
) -> Float[Array, "*b"]:
    r"""Beta after the share ``progress`` of the steps.

    - ``constant``: beta_max;
    - ``linear``: beta_max min(1, t / T_w);
    - ``sigmoid``: beta_max / (1 + exp(-kappa (t - t_0))) centred in the warm-up, 1 % to 99 % over it
      (Bowman et al. 2016);
    - ``cyclical``: ``linear`` anew in each of ``num_cycles`` equal parts of the training, ``warmup`` being the share of
      a cycle (Fu et al. 2019; 4 and 0.5 are their values too).

    >>> import jax.numpy as jnp
    >>> beta("linear", jnp.array([0.0, 0.25, 1.0]), 0.5, 0.5).tolist()
    [0.0, 0.25, 0.5]
    """
    progress = jnp.asarray(progress)
    if schedule == "cyclical":
        return beta("linear", progress * num_cycles % 1, beta_max, warmup)
    if schedule == "constant":
        return beta_max * jnp.ones_like(progress)
    share = progress / jnp.maximum(warmup, jnp.finfo(progress.dtype).eps)
    if schedule == "linear":
        return beta_max * jnp.minimum(1.0, share)
    return beta_max * jax.nn.sigmoid(SIGMOID_RANGE * (share - 0.5))
