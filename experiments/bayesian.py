"""Posteriors on the blast table: which copula, margins and copula in one model, and theta by site.

    python experiments/bayesian.py

The 110 distinct blasts, in-situ block size XB against median fragment size X50. Ties, of which the table is full, are
broken at random. Three questions: which family do the rows prefer, and how far does breaking the ties in other ways
move theta; does a joint model of margins and copula know more or less than the two-step fit; and does the dependence
differ between sites, by a hierarchical prior on theta (within-site ranks, so that differences of level do not count).
Writes report.md, results.json and figures.
"""

# NumPyro annotates what its primitives return more widely than it is.
# pyright: reportArgumentType=false, reportIndexIssue=false, reportAttributeAccessIssue=false

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxcop import bayes, copulas
from jaxcop.copulas import FAMILIES, frank, inference
from jaxcop.report import bayes_figures
from jaxcop.report.tables import Table, to_markdown, to_rich
from numpyro.infer import MCMC, NUTS
from rich.console import Console
from rich.progress import Progress
from scipy import stats

import blasts
import outputs

PAIR = ("XB", "X50")
COMPARED = ("clayton", "gumbel", "frank", "joe", "gaussian", "student_t")
JOINT = "frank"


@dataclass(frozen=True)
class Config:
    """What is run; ``tie_breaks`` tables that differ only in how ties are broken are fitted in one program."""

    num_chains: int = 4
    num_draws: int = 1000
    num_warmup: int = 1000
    tie_breaks: int = 10
    replicates: int = 400
    seed: int = 0

    @property
    def lengths(self) -> dict:
        return {"num_chains": self.num_chains, "num_draws": self.num_draws, "num_warmup": self.num_warmup}


def broken_ranks(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """rank / (n + 1) with ties in random order."""
    order = np.stack([np.lexsort((rng.uniform(size=len(x)), column)) for column in x.T], -1)
    return (order.argsort(0) + 1) / (len(x) + 1)


def statistics(u):
    """Kendall's tau and the shares of rows in both corners, of tables ``[b, n, 2]``."""
    u = np.asarray(u)
    ranks = stats.rankdata(u, axis=1) / u.shape[1]
    return {
        "Kendall's tau": np.array([stats.kendalltau(*table.T).statistic for table in u]),
        "rows with both ranks below 20 %": (ranks < 0.2).all(-1).mean(-1),
        "rows with both ranks above 80 %": (ranks > 0.8).all(-1).mean(-1),
    }


def sample(model, key, config: Config, *arguments) -> dict[str, np.ndarray]:
    """NUTS of a NumPyro model, all chains in one program; draws by chain, R-hat warned of."""
    mcmc = MCMC(
        NUTS(model, target_accept_prob=0.95),
        num_warmup=config.num_warmup,
        num_samples=config.num_draws,
        num_chains=config.num_chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    mcmc.run(key, *arguments, extra_fields=("diverging",))
    divergent = int(mcmc.get_extra_fields()["diverging"].sum())
    if divergent:
        warnings.warn(f"{model.__name__}: {divergent} divergent transitions", UserWarning, stacklevel=2)
    return {name: np.asarray(value) for name, value in mcmc.get_samples(group_by_chain=True).items()}


def joint(x):
    """Log-normal margins and a Frank copula in one model; x in units of its medians."""
    location = numpyro.sample("location", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    scale = numpyro.sample("scale", dist.HalfNormal(1.0).expand([2]).to_event(1))
    theta = numpyro.sample("theta", dist.Normal(0.0, 5.0))
    dependence = bayes.CopulaDistribution(JOINT, frank.Params(theta))
    margins = [dist.LogNormal(location[j], scale[j]) for j in range(2)]
    with numpyro.plate("rows", len(x)):
        numpyro.sample("x", bayes.SklarDistribution(dependence, margins), obs=x)


def dependence_only(u):
    """The second step of two: the same prior of theta, margins taken as known."""
    theta = numpyro.sample("theta", dist.Normal(0.0, 5.0))
    with numpyro.plate("rows", len(u)):
        numpyro.sample("u", bayes.CopulaDistribution(JOINT, frank.Params(theta)), obs=u)


def by_site(u, site, num_sites):
    """theta of a site around a common mean, with a spread that the sites tell."""
    mean = numpyro.sample("mean", dist.Normal(0.0, 5.0))
    spread = numpyro.sample("spread", dist.HalfNormal(5.0))
    with numpyro.plate("sites", num_sites):
        shift = numpyro.sample("shift", dist.Normal(0.0, 1.0))
    theta = numpyro.deterministic("theta", mean + spread * shift)
    with numpyro.plate("rows", len(u)):
        numpyro.sample("u", bayes.CopulaDistribution(JOINT, frank.Params(theta[site])), obs=u)


def alone(u, site, num_sites):
    """theta of each site from its own rows."""
    with numpyro.plate("sites", num_sites):
        theta = numpyro.sample("theta", dist.Normal(0.0, 5.0))
    with numpyro.plate("rows", len(u)):
        numpyro.sample("u", bayes.CopulaDistribution(JOINT, frank.Params(theta[site])), obs=u)


def interval(draws) -> tuple[float, float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(np.mean(draws)), float(low), float(high)


def shown(values) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*values)


def _family_row(row, found: bayes.CopulaPosterior | None) -> tuple[str, ...]:
    cells = ("–",) * 4
    if found is not None:
        s = found.summary["theta" if "theta" in found.summary else "correlation[1,2]"]
        told = str(found.num_divergent)
        cells = shown((s.mean, s.low, s.high)), f"{found.elpd.waic:.1f}", f"{found.elpd.pareto_k:.2f}", told
    gap = f"{row.difference:.1f} ({row.error:.1f})"
    return row.family, f"{row.elpd:.1f}", gap, f"{row.weight:.2f}", *cells


def run_families(config: Config, x, out: Path, step) -> tuple[list[Table], dict]:
    """The comparison of families, figures of the best, and what the ties do."""
    rng = np.random.default_rng(config.seed)
    tables = np.stack([broken_ranks(rng, x) for _ in range(config.tie_breaks)]).astype(np.float32)
    u = tables[0]
    keys = jax.random.split(jax.random.key(config.seed), len(COMPARED) + 3)
    posteriors = {}
    for key, family in zip(keys, COMPARED, strict=False):
        posteriors[family] = bayes.copula_posterior(key, u, family, **config.lengths)
        step(f"posterior of {family}")
    compared = bayes.compare(list(posteriors.values()))
    rows = [_family_row(row, posteriors.get(row.family)) for row in compared]
    head = (
        "family",
        "elpd",
        "below the best (error)",
        "weight",
        "theta or correlation",
        "WAIC",
        "Pareto k",
        "divergent",
    )
    caption = f"{PAIR[0]} against {PAIR[1]}, {len(x)} distinct blasts: families by expected log predictive density."
    made = [Table(caption, head, tuple(rows))]

    best = posteriors[JOINT]
    fitted = copulas.fit(u, JOINT)
    limits = inference.interval(u, JOINT, fitted)
    ml = float(fitted.params.theta), float(limits.lower.theta), float(limits.upper.theta)
    bayes_figures.posterior_density(
        out / "theta.png", best.samples["theta"], estimate=ml[0], interval=ml[1:], name=f"theta ({JOINT})"
    )
    bayes_figures.traces_and_ranks(out / "traces.png", {name: best.samples[name] for name in ("theta", "tau")})
    step("figures of theta")
    key_rows = jax.random.split(keys[-1], config.replicates)
    chosen = np.linspace(0, len(best.params.theta) - 1, config.replicates).astype(int)
    replicated = jax.jit(jax.vmap(lambda key, theta: frank.sample(key, frank.Params(theta), u.shape)))(
        key_rows, best.params.theta[chosen]
    )
    mine, theirs = statistics(u[None]), statistics(replicated)
    checks = {name: (float(mine[name][0]), theirs[name]) for name in mine}
    bayes_figures.predictive_checks(out / "predictive.png", checks)
    step("posterior predictive checks")
    tails = {}
    for family in ("clayton", "gumbel", "joe", "student_t"):
        found = jax.vmap(FAMILIES[family].tail_dependence)(posteriors[family].params)
        tails[family] = tuple(np.asarray(side)[..., 0, 1] if np.ndim(side) > 1 else np.asarray(side) for side in found)
    bayes_figures.tail_dependence(out / "tails.png", tails)
    step("tail dependence")

    broken = bayes.copula_posterior(keys[-2], tables, JOINT, **config.lengths)
    means = [one.summary["theta"].mean for one in broken]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tied.*")
        u = np.asarray(copulas.pseudo_observations(x), np.float32)
        middle = bayes.copula_posterior(keys[-3], u, JOINT, **config.lengths)
    step("ties broken in other ways")
    rows = (
        ("ML", shown(ml)),
        ("posterior, ties broken at random once", shown(interval(best.samples["theta"]))),
        (
            f"posterior, {config.tie_breaks} ways of breaking ties, pooled",
            shown(interval(np.stack([one.samples["theta"] for one in broken]))),
        ),
        ("posterior, mid-ranks", shown(interval(middle.samples["theta"]))),
    )
    caption = (
        f"theta of {JOINT}; its posterior mean lies between {min(means):.2f} and {max(means):.2f} over ways of "
        "breaking ties."
    )
    made.append(Table(caption, ("", "theta [95 % interval]"), rows))
    checked = {name: (observed, float((values >= observed).mean())) for name, (observed, values) in checks.items()}
    document = {"families": compared, "ml": ml, "tie_break_means": means, "checks": checked}
    return made, document


def run_joint(config: Config, x, step) -> tuple[Table, dict]:
    """Margins and copula together against one after the other, on the same model and priors."""
    scaled = jnp.asarray(x / np.median(x, axis=0), jnp.float32)
    keys = jax.random.split(jax.random.key(config.seed + 1), 2)
    together = sample(joint, keys[0], config, scaled)
    step("margins and copula in one model")
    log_x = np.log(np.asarray(scaled))
    u = stats.norm.cdf(log_x, log_x.mean(0), log_x.std(0))
    then = sample(dependence_only, keys[1], config, jnp.asarray(u, jnp.float32))
    step("margins first, then the copula")
    found = {"one model": interval(together["theta"]), "two steps": interval(then["theta"])}
    rows = [(name, shown(value), f"{value[2] - value[1]:.2f}") for name, value in found.items()]
    caption = (
        f"theta of {JOINT} with log-normal margins: margins and copula in one model, and ML margins taken as known."
    )
    return Table(caption, ("fit", "theta [95 % interval]", "width"), tuple(rows)), found


def run_sites(config: Config, x, site, out: Path, step) -> tuple[Table, dict]:
    """theta by site: alone, partially pooled, all together."""
    names, index = np.unique(site, return_inverse=True)
    rng = np.random.default_rng(config.seed + 2)
    u = np.empty(x.shape)
    for k in range(len(names)):
        u[index == k] = broken_ranks(rng, x[index == k])
    u = jnp.asarray(u, jnp.float32)
    keys = jax.random.split(jax.random.key(config.seed + 2), 3)
    pooled = sample(by_site, keys[0], config, u, index, len(names))
    step("theta by site, partial pooling")
    single = sample(alone, keys[1], config, u, index, len(names))
    step("theta by site, each alone")
    together = interval(sample(dependence_only, keys[2], config, u)["theta"])
    step("one theta of all sites")
    counts = np.bincount(index)
    labels = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
    series = {
        "site alone": {label: interval(single["theta"][..., k]) for k, label in enumerate(labels)},
        "partial pooling": {label: interval(pooled["theta"][..., k]) for k, label in enumerate(labels)},
    }
    bayes_figures.intervals_by_group(
        out / "sites.png", labels, series, xlabel=f"theta of {JOINT} within the site", reference=together
    )
    rows = [(label, *(shown(part[label]) for part in series.values())) for label in labels]
    caption = (
        f"theta of {JOINT} by site (rows), from ranks within the site. All sites with one theta: {shown(together)}. "
        f"Mean of the sites {shown(interval(pooled['mean']))}, spread between them {shown(interval(pooled['spread']))}."
    )
    document = {"together": together, "spread": interval(pooled["spread"]), "mean": interval(pooled["mean"]), **series}
    return Table(caption, ("site", *series), tuple(rows)), document


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all three parts; returns the exit code."""
    started = time.perf_counter()
    default = Config()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=default.num_draws, metavar="N", help="draws of each chain")
    parser.add_argument("--warmup", type=int, default=default.num_warmup, metavar="N", help="steps before them")
    parser.add_argument("--out", type=Path, default=Path("results/bayesian"), help="output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run wrote to --out")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        for name in ("draws", "warmup"):
            if getattr(options, name) < 100:
                raise ValueError(f"{name}: expected at least 100, got {getattr(options, name)}; ask for more")
        outputs.check_folder(options.out, overwrite=options.overwrite)
    except (ValueError, OSError) as error:
        console.print(f"[bold red]error[/] {error}", highlight=False)
        return 2
    config = Config(num_draws=options.draws, num_warmup=options.warmup)
    pool = blasts.load_pool()
    distinct = pool[~pool["blast_id"].duplicated()]
    x = distinct[list(PAIR)].to_numpy(float)
    options.out.mkdir(parents=True, exist_ok=True)
    with Progress(console=console) as progress:
        task = progress.add_task("posteriors", total=len(COMPARED) + 9)

        def step(text: str) -> None:
            progress.update(task, advance=1, description=text)

        made, families = run_families(config, x, options.out, step)
        table, joint_fit = run_joint(config, x, step)
        made.append(table)
        table, sites = run_sites(config, x, distinct["site"].to_numpy(str), options.out, step)
        made.append(table)
    for table in made:
        console.print(to_rich(table))
    seconds = time.perf_counter() - started
    pictures = ("theta", "traces", "predictive", "tails", "sites")
    images = "\n".join(f"![{name}]({name}.png)" for name in pictures)
    text = "# Posteriors on the blast table\n\n" + "\n\n".join(map(to_markdown, made)) + "\n\n" + images + "\n"
    (options.out / "report.md").write_text(text)
    document = {"config": asdict(config), "seconds": seconds, "families": families, "joint": joint_fit, "sites": sites}
    (options.out / "results.json").write_text(json.dumps(outputs.plain(document), indent=1, allow_nan=False) + "\n")
    console.print(f"{seconds:.0f} s; wrote {options.out}/: results.json, report.md, {len(pictures)} figures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
