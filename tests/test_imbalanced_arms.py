"""The balanced beta-VAE and the arms of the ablation: the loss by hand, what each arm may draw, masks and replicas."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxcop import categories, sweep, synthesizers
from jaxcop.imbalanced import Config, Hyper, autoencoder, encoding, published_sizes
from jaxcop.synthesizers.imbalanced import TRAINED_ARMS, Drawing

CONFIG = Config(hidden=(5, 4), latent_dim=2, epochs=30, batch_size=16)
ARMS = synthesizers.imbalanced_arms(CONFIG, hyper=Hyper(learning_rate=0.02))
LEVELS = (0, 3, 0, 0)
KERNEL = synthesizers.david(CONFIG, hyper=Hyper(learning_rate=0.02), mixing=False)


def table(seed=0, rows=80):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    return np.c_[x, np.exp(x[:, 0] + 0.1 * rng.normal(size=rows))].astype(np.float32)


def fit(arm, x, mask=None, **numbers):
    mask = np.ones(len(x), bool) if mask is None else mask
    hyper = arm.hyper._replace(**numbers) if numbers else arm.hyper
    return jax.jit(arm.fit)(jax.random.key(0), jnp.asarray(x), jnp.asarray(mask), hyper)


def sample(arm, fitted, num_rows=80, seed=1):
    return np.asarray(jax.jit(arm.sample, static_argnums=2)(jax.random.key(seed), fitted, num_rows))


def by_hand(vector, x, omega, noise, hidden, latent, hyper):
    """The loss of one mini-batch in numpy, rows first, weights cut from the vector layer by layer."""
    width, position, number = x.shape[1], 0, np.asarray(vector, np.float64)

    def perceptron(widths, h):
        nonlocal position
        for k, (a, b) in enumerate(pairwise(widths)):
            weight = number[position : position + a * b].reshape(b, a)
            bias = number[position + a * b : position + a * b + b]
            position += a * b + b
            h = h @ weight.T + bias
            h = np.tanh(h) if k < len(widths) - 2 else h
        return h

    code = perceptron((width, *hidden, 2 * latent), x)
    mean, log_var = code[:, :latent], code[:, latent:]
    outputs = perceptron((latent, *hidden[::-1], width), mean + np.exp(log_var / 2) * noise)
    error = (outputs - x) ** 2
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum()
    return hyper.beta_x * error[:, :-1].sum() + hyper.beta_y * (omega * error[:, -1]).sum() + hyper.beta_kl * kl


def test_the_loss_by_hand():
    rng = np.random.default_rng(0)
    x, noise, omega = rng.uniform(size=(7, 4)), rng.normal(size=(7, 2)), rng.uniform(0.5, 2, size=7)
    hyper = Hyper(beta_x=0.7, beta_y=3.0, beta_kl=0.2)
    layers, _ = autoencoder._layers(CONFIG, (0,) * 4)
    vector = rng.normal(size=sum((a + 1) * b for a, b in layers))
    terms, kl_weights = autoencoder.loss_weights(jnp.asarray(omega), hyper, 4)
    loss = jax.jit(autoencoder.loss, static_argnums=(5, 6))
    found = loss(vector, x.T, terms, kl_weights, noise.T, CONFIG, (0,) * 4)
    assert float(found) == pytest.approx(by_hand(vector, x, omega, noise, (5, 4), 2, hyper), rel=1e-10)


def test_which_terms_are_weighted():
    omega = jnp.array([0.5, 2.0])
    terms, kl = autoencoder.loss_weights(omega, Hyper(beta_x=1.0, beta_y=3.0, beta_kl=0.1), 3)
    assert terms.tolist() == [[1, 1], [1, 1], [1.5, 6]]
    np.testing.assert_allclose(kl, [0.1, 0.1], rtol=1e-6)
    terms, kl = autoencoder.loss_weights(omega, Hyper(beta_x=1.0, beta_y=3.0, beta_kl=0.1, balance_all=1.0), 3)
    assert terms.tolist() == [[0.5, 2], [0.5, 2], [1.5, 6]]
    np.testing.assert_allclose(kl, [0.05, 0.2], rtol=1e-6)


def test_published_sizes():
    assert published_sizes(6) == ((13, 5, 4), 3)
    assert published_sizes(13) == ((27, 11, 9), 7)
    with pytest.raises(ValueError, match="at least 4 features"):
        published_sizes(3)


@pytest.mark.slow
def test_training_learns_and_balance_favours_rare_targets():
    """The same network with and without balance: rare rows are reconstructed better with it, relative to common."""
    x = table(rows=160)
    rare = x[:, -1] >= np.quantile(x[:, -1], 0.95)
    ratio = {}
    for alpha in (0.0, 2.0):
        fitted = fit(KERNEL, x, alpha=alpha, noise=0.0, beta_kl=0.0, beta_y=10.0)
        loss = np.asarray(fitted.decoder.loss)
        assert loss[-1] < 0.7 * loss[0]
        codes = autoencoder.decode(fitted.decoder.vector, fitted.mean, CONFIG, (0,) * 4)
        error = np.asarray((encoding.decode(codes, fitted.scaling, (0,) * 4) - x)[:, -1] ** 2)
        ratio[alpha] = error[rare].mean() / error[~rare].mean()
    assert ratio[2.0] < ratio[0.0]


@pytest.mark.parametrize(
    "name",
    [
        "baseline",
        "kbvae_w",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("oversample", "smoothed_raw", "smoothed_pca", "bvae_w")),
    ],
)
def test_padding_never_enters(name):
    arm, mask = ARMS[name], np.arange(80) < 60
    fits = [fit(arm, np.where(mask[:, None], table(), fill).astype(np.float32), mask) for fill in (0.5, 77.0)]
    first, second = (sample(arm, fitted, 60) for fitted in fits)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert not (first == 77).any()
    if name == "baseline":
        np.testing.assert_array_equal(first, table()[:60])


@pytest.mark.parametrize("name", ["smoothed_raw", pytest.param("vae0", marks=pytest.mark.slow)])
def test_mixing_keeps_first_draws_real(name):
    x = table()
    known = {tuple(row) for row in x.tolist()}
    rows = sample(ARMS[name], fit(ARMS[name], x))
    real = [tuple(row) for row in rows.tolist() if tuple(row) in known]
    assert len(set(real)) == len(real)
    assert 20 < len(real) < 70


@pytest.mark.slow
def test_without_mixing_every_row_is_synthetic():
    x = table()
    known = {tuple(row) for row in x.tolist()}
    rows = sample(KERNEL, fit(KERNEL, x))
    assert not known & {tuple(row) for row in rows.tolist()}


@pytest.mark.parametrize("name", ["oversample", pytest.param("smoothed_raw", marks=pytest.mark.slow)])
def test_rare_rows_are_drawn_more_often(name):
    x = table(rows=160)
    rows = sample(ARMS[name], fit(ARMS[name], x, draw_alpha=1.0), 160)
    assert np.median(rows[:, -1]) > 1.2 * np.median(x[:, -1])


def test_arms_share_programs():
    """One fit function for every arm with a network, and nothing compiled when only a number changes."""
    assert len({arm.fit for name, arm in ARMS.items() if name in TRAINED_ARMS}) == 1
    assert set(ARMS) - set(TRAINED_ARMS) == {"baseline", "oversample", "smoothed_raw", "smoothed_pca"}
    traces = []

    def counted(*args):
        traces.append(1)
        return ARMS["ae"].fit(*args)

    run = jax.jit(counted)
    for name in ("ae", "kbvae_w"):
        hyper = jax.tree.map(np.float32, ARMS[name].hyper)
        run(jax.random.key(0), jnp.asarray(table()), jnp.ones(80, bool), hyper)
    assert len(traces) == 1


@pytest.mark.slow
def test_an_autoencoder_has_no_noise():
    """Without noise and KL the loss does not know the log-variance: its part of the last encoder layer only decays."""
    fitted = fit(KERNEL, table(), noise=0.0, beta_kl=0.0, weight_decay=0.0)
    again = fit(KERNEL, table(), noise=0.0, beta_kl=0.0, weight_decay=0.0, learning_rate=1e-9)
    np.testing.assert_allclose(bias_of_log_var(fitted), bias_of_log_var(again), atol=1e-6)
    other = fit(KERNEL, table(), noise=1.0, beta_kl=1.0, weight_decay=0.0)
    assert np.abs(bias_of_log_var(other) - bias_of_log_var(again)).max() > 0.01


def bias_of_log_var(fitted):
    layers, encoder = autoencoder._layers(CONFIG, (0,) * 4)
    end = sum((a + 1) * b for a, b in layers[:encoder])
    return np.asarray(fitted.decoder.vector[end - 2 : end])


@pytest.mark.slow
def test_replicas_equal_single_fits():
    x, mask = sweep.stack([table(1, 60), table(2, 80)])
    keys = jax.random.split(jax.random.key(5), 2)
    hyper = jax.tree.map(lambda *v: np.asarray(v, np.float32), ARMS["vae0"].hyper, ARMS["kbvae_w"].hyper)
    fitted = sweep.replicate(KERNEL.fit, keys, x, mask, hyper)
    for index in range(2):
        alone = jax.jit(KERNEL.fit)(keys[index], x[index], mask[index], jax.tree.map(lambda v: v[index], hyper))  # noqa: B023
        # Training amplifies the rounding of sums taken in another order.
        np.testing.assert_allclose(fitted.decoder.vector[index], alone.decoder.vector, atol=2e-2)
    assert np.asarray(fitted.decoder.finite).all()


def mixed_table():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 80)
    x = table()
    return np.c_[x[:, 0], kind, x[:, 1], x[:, -1] * (1 + kind)].astype(np.float32)


def test_categories_are_one_hot_and_back():
    x = mixed_table()
    encoded = encoding.encode(jnp.asarray(x), encoding.fit(jnp.asarray(x), jnp.ones(80, bool)), LEVELS)
    assert encoded.shape == (80, 6)
    np.testing.assert_array_equal(encoded[:, 1:4].argmax(1), x[:, 1])
    np.testing.assert_allclose(
        encoding.decode(encoded, encoding.fit(jnp.asarray(x), jnp.ones(80, bool)), LEVELS), x, atol=1e-5
    )


@pytest.mark.slow
def test_arms_draw_codes():
    x = mixed_table()
    for arm in (
        synthesizers.david(CONFIG, levels=LEVELS, mixing=False),
        synthesizers.smoothed_raw(levels=LEVELS, mixing=False),
        synthesizers.smoothed_pca(2, levels=LEVELS, adaptive=True, mixing=False),
    ):
        arm.check(x, arm.hyper)
        rows = sample(arm, fit(arm, x), 200)
        assert set(np.unique(rows[:, 1])) <= {0, 1, 2}
        assert np.isfinite(rows).all()


def test_softmax_draws_follow_the_logits():
    logits = jnp.tile(jnp.log(jnp.array([7.0, 0.2, 0.5, 0.3, 7.0])), (4000, 1))
    drawn = categories.add_gumbel(jax.random.key(0), logits, (0, 3, 0))
    np.testing.assert_allclose(np.bincount(drawn[:, 1:4].argmax(1)) / 4000, [0.2, 0.5, 0.3], atol=0.03)
    np.testing.assert_array_equal(drawn[:, [0, 4]], logits[:, [0, 4]])


def test_cross_entropy_by_hand():
    outputs, x = jnp.log(jnp.array([[2.0], [3.0], [5.0], [1.0]])), jnp.array([[0.0], [1.0], [0.0], [1.0]])
    found = autoencoder.losses(outputs, x, (3, 0))
    np.testing.assert_allclose(found[:, 0], [-np.log(0.3), 1.0], rtol=1e-6)


def test_a_target_of_classes_is_balanced_by_frequency():
    x = table()
    x[:, -1] = x[:, -1] > np.quantile(x[:, -1], 0.9)
    arm = synthesizers.oversample(levels=(0, 0, 0, 2))
    arm.check(x, arm.hyper)
    rows = sample(arm, fit(arm, x, draw_alpha=1.0), 2000)
    assert rows[:, -1].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("arm", "x", "hyper", "message"),
    [
        (KERNEL, np.c_[table()[:, :3], np.ones(80)], Hyper(), "constant"),
        (KERNEL, np.c_[table()[:, :3], np.arange(80) % 4], Hyper(), "continuous target"),
        (KERNEL, np.where(table() > 3, np.nan, table()), Hyper(), "NaN"),
        (KERNEL, table(), Hyper(alpha=-1.0), "alpha"),
        (KERNEL, table(), Hyper(draw_alpha=-0.5), "draw_alpha"),
        (KERNEL, table(), Hyper(learning_rate=0.0), "learning_rate"),
        (KERNEL, table(), Hyper(multiplier=-1.0), "multiplier"),
        (KERNEL, table(rows=12), Hyper(), "batch_size"),
        (ARMS["oversample"], table(), Drawing(-1.0), "draw_alpha"),
        (synthesizers.david(Config(batch_size=8)), table(), Hyper(), "name the sizes"),
        (synthesizers.smoothed_pca(), table(), Drawing(), "name the sizes"),
        (synthesizers.smoothed_pca(9), table(), Drawing(), "num_components"),
        (synthesizers.david(CONFIG, levels=LEVELS), table(), Hyper(), "codes 0 to 2"),
        (synthesizers.david(CONFIG, levels=(0, 0)), table(), Hyper(), "levels"),
    ],
)
def test_bad_input(arm, x, hyper, message):
    with pytest.raises(ValueError, match=message):
        arm.check(x, hyper)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Config(hidden=(3,)), "both or neither"),
        (lambda: Config(epochs=0), "epochs"),
        (lambda: synthesizers.david(CONFIG, draw="prior"), "draw"),
        (lambda: synthesizers.smoothed_raw(rule="plug-in"), "rule"),
    ],
)
def test_bad_configuration(make, message):
    with pytest.raises(ValueError, match=message):
        make()
