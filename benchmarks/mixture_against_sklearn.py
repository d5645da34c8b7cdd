"""Held-out log-density of Bayesian mixtures of VAE latents: jaxcop beside scikit-learn's BayesianGaussianMixture.

    pip install -e ".[bayes,experiments]"
    python benchmarks/mixture_against_sklearn.py
    python benchmarks/mixture_against_sklearn.py --weights dirichlet --covariance diagonal

Twenty splits of the distinct blasts. On each a VAE is trained on the training rows, and one posterior sample of the
latent code of every row is drawn; both mixtures see the codes of the training rows and are scored on those of the test
rows. Same priors (scikit-learn's defaults), same number of components and of restarts. Prints every split, the mean
difference with its paired 95 % interval, and the number of live components.
"""

import argparse
import platform
import sys
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import sklearn
from jaxcop import bayes, margins, vae
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture

sys.path.append(str(Path(__file__).parents[1] / "experiments"))
import blasts

CONFIG = vae.Config(hidden=(64, 32), latent_dim=6, epochs=300, batch_size=64)
COMPONENTS, STARTS = 10, 4


def latents(pool, split, seed: int):
    """Codes of the training and of the test rows, by a VAE that has seen the training rows only."""
    x = pool[[blasts.TARGET, *blasts.FEATURES]].to_numpy(np.float32)
    fitted = margins.fit(jnp.asarray(x[split.train]))
    scaled = margins.normal_scores(jnp.asarray(x), fitted)
    key_fit, key_codes = jax.random.split(jax.random.key(seed))
    # Padded to one length, so that all splits share one program.
    train = jnp.zeros((110, x.shape[1])).at[: len(split.train)].set(scaled[split.train])
    mask = np.arange(110) < len(split.train)
    trained = vae.fit(key_fit, train, CONFIG, vae.Hyper(learning_rate=3e-3, beta_max=0.5), mask=mask)
    z, _ = vae.latent_codes(key_codes, trained, CONFIG, scaled, jnp.ones(len(x), bool), 1)
    return np.asarray(z[split.train], np.float64), np.asarray(z[split.test], np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", choices=("stick_breaking", "dirichlet"), default="stick_breaking")
    parser.add_argument("--covariance", choices=("full", "diagonal"), default="full")
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    print(f"jax {jax.__version__}, scikit-learn {sklearn.__version__}, {platform.machine()}, {CONFIG}, {options}")
    pool = blasts.load_pool()
    kind = {"stick_breaking": "dirichlet_process", "dirichlet": "dirichlet_distribution"}[options.weights]
    rows, lengths = [], [0.0, 0.0]
    for seed, split in enumerate(blasts.make_splits(pool, "distinct", range(options.splits))):
        train, test = latents(pool, split, seed)
        start = time.perf_counter()
        ours = bayes.mixture_posterior(
            jax.random.key(seed),
            train.astype(np.float32),
            num_components=COMPONENTS,
            weights=options.weights,
            covariance=options.covariance,
            num_starts=STARTS,
        )
        lengths[0] += time.perf_counter() - start
        theirs = BayesianGaussianMixture(
            n_components=COMPONENTS,
            covariance_type={"full": "full", "diagonal": "diag"}[options.covariance],
            weight_concentration_prior_type=kind,
            n_init=STARTS,
            max_iter=1000,
            random_state=seed,
        )
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs.fit(train)
        lengths[1] += time.perf_counter() - start
        score = float(bayes.mixture_logpdf(test.astype(np.float32), ours).mean())
        normal = stats.multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test).mean()
        rows.append((score, float(theirs.score(test)), float(normal), ours.summary["live"].mean))
        print(
            "split {:2}: jaxcop {:8.3f}  scikit-learn {:8.3f}  one normal {:8.3f}  live {:.1f}".format(seed, *rows[-1])
        )
    table = np.array(rows)
    for name, other in (("scikit-learn", 1), ("one normal", 2)):
        gap = table[:, 0] - table[:, other]
        half = stats.t.ppf(0.975, len(gap) - 1) * stats.sem(gap)
        print(
            f"jaxcop less {name}, nats a row: {gap.mean():+.3f} [{gap.mean() - half:+.3f}, {gap.mean() + half:+.3f}], "
            f"above on {(gap > 0).sum()} of {len(gap)}"
        )
    print(f"live components {table[:, 3].mean():.1f}; seconds in all, compiled: {lengths[0]:.0f} and {lengths[1]:.0f}")


if __name__ == "__main__":
    main()
