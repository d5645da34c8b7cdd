"""What the scores mean: which metrics there are, and what is said of a generator that has them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxcop.metrics.augmentation import BlendCurve, benefit
from jaxcop.metrics.comparison import paired_difference


class Metric(NamedTuple):
    """``better`` is "smaller" or "larger"; "neither" where a value of its own means a fresh sample."""

    section: str
    label: str
    better: str


METRICS = {
    "ks": Metric("fidelity", "KS, mean of the columns", "smaller"),
    "ks_max": Metric("fidelity", "KS, worst column", "smaller"),
    "ad": Metric("fidelity", "Anderson-Darling distance, mean", "smaller"),
    "ad_max": Metric("fidelity", "Anderson-Darling distance, worst column", "smaller"),
    "a2": Metric("fidelity", "Anderson-Darling A2, mean", "smaller"),
    "tv": Metric("fidelity", "total variation, 20 bins at real quantiles", "smaller"),
    "wasserstein": Metric("fidelity", "Wasserstein-1, in standard deviations", "smaller"),
    "range_coverage": Metric("fidelity", "range coverage", "larger"),
    "mmd": Metric("fidelity", "MMD², unbiased", "smaller"),
    "frechet": Metric("fidelity", "Fréchet distance", "smaller"),
    "faed": Metric("fidelity", "FAED, five autoencoders", "smaller"),
    "pearson": Metric("dependence", "Pearson correlations, mean error", "smaller"),
    "spearman": Metric("dependence", "Spearman correlations, mean error", "smaller"),
    "kendall": Metric("dependence", "Kendall's tau, mean error", "smaller"),
    "tail_lower": Metric("dependence", "lower tail dependence at 0.1, mean error", "smaller"),
    "tail_upper": Metric("dependence", "upper tail dependence at 0.1, mean error", "smaller"),
    "precision": Metric("coverage", "precision, k = 5", "larger"),
    "recall": Metric("coverage", "recall, k = 5", "larger"),
    "density": Metric("coverage", "density, k = 5", "larger"),
    "coverage": Metric("coverage", "coverage, k = 5", "larger"),
    "alpha_precision": Metric("coverage", "alpha-precision", "larger"),
    "beta_recall": Metric("coverage", "beta-recall", "larger"),
    "c2st_logistic": Metric("detection", "AUC real v synthetic, logistic regression", "smaller"),
    "c2st_xgboost": Metric("detection", "AUC real v synthetic, XGBoost", "smaller"),
    "dcr_ratio": Metric("memorisation", "distance to the closest training row, ratio", "neither"),
    "nndr": Metric("memorisation", "nearest-neighbour distance ratio, median", "neither"),
    "authenticity": Metric("memorisation", "authenticity", "neither"),
    "exact_copies": Metric("memorisation", "exact copies of training rows, share", "smaller"),
    "dcr_share": Metric("memorisation", "closer to training than to hold-out rows, share", "neither"),
    "membership_auc": Metric("memorisation", "membership attack, AUC", "neither"),
    "tstr_r2": Metric("utility", "TSTR R2", "larger"),
    "tstr_rmse": Metric("utility", "TSTR RMSE", "smaller"),
    "tstr_mae": Metric("utility", "TSTR MAE", "smaller"),
    "trts_r2": Metric("utility", "TRTS R2", "larger"),
    "trts_rmse": Metric("utility", "TRTS RMSE", "smaller"),
    "trts_mae": Metric("utility", "TRTS MAE", "smaller"),
}
"""Every metric of an evaluation, in the order of its tables."""

HEADLINE = ("ks", "ad", "mmd", "spearman", "coverage", "c2st_xgboost", "tstr_rmse")
"""The metrics on which a generator is compared with the controls, chosen before any was seen: one of each kind."""

COPY_SHARE = 0.01
"""Exact copies above those of the hold-out rows by more than this share are called copies."""


class Comparison(NamedTuple):
    """A headline metric against one control: the mean paired gain over resamples (positive: better), its interval."""

    metric: str
    control: str
    gain: float
    low: float
    high: float

    @property
    def outcome(self) -> str:
        return "better" if self.low > 0 else "worse" if self.high < 0 else "level"


class Objective(NamedTuple):
    """A target of the project plan; ``met`` is None where it could not be measured."""

    name: str
    target: str
    value: str
    met: bool | None


class Verdict(NamedTuple):
    """``sentences`` say it all; the rest is what they are made of.

    ``beyond_noise`` are the metrics that lie outside the 95 % of real-v-real values on the bad side; ``memorizes`` and
    ``recommended`` follow the printed rules.
    """

    generator: str
    sentences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    beyond_noise: tuple[str, ...]
    memorizes: bool
    recommended: bool


def compare(generator: Mapping[str, Float[np.ndarray, " r"]], control, name: str) -> list[Comparison]:
    """Headline metrics of both on the same resamples."""
    found = []
    for metric in HEADLINE:
        if metric not in generator:
            continue
        sign = 1 if METRICS[metric].better == "larger" else -1
        difference = paired_difference(sign * generator[metric], sign * control[metric], 0.0)
        found.append(Comparison(metric, name, difference.mean, difference.low, difference.high))
    return found


def copies(values: Mapping[str, float], holdout: Mapping[str, float], bootstrap: Mapping[str, float]) -> list[str]:
    """Reasons to say that a generator repeats its training rows; none if empty.

    ``dcr_ratio`` and ``authenticity`` nearer to those of the bootstrap, a pure memoriser, than to those of hold-out
    rows; more exact copies than among the hold-out rows.
    """
    reasons = []
    for metric in ("dcr_ratio", "authenticity"):
        if values[metric] < (holdout[metric] + bootstrap[metric]) / 2:
            reasons.append(
                f"{METRICS[metric].label} {values[metric]:.2f}, nearer to the bootstrap's {bootstrap[metric]:.2f} than "
                f"to the hold-out's {holdout[metric]:.2f}"
            )
    if values["exact_copies"] > holdout["exact_copies"] + COPY_SHARE:
        reasons.append(f"{values['exact_copies']:.0%} exact copies, {holdout['exact_copies']:.0%} among hold-out rows")
    return reasons


def judge(
    generator: str,
    values: Mapping[str, Mapping[str, Float[np.ndarray, " r"]]],
    floors: Mapping[str, Float[np.ndarray, " f"]],
    leaked_share: float,
) -> Verdict:
    """The verdict on one generator from the resampled values of all, the controls among them."""
    own = values[generator]
    means = {name: {metric: float(np.mean(v)) for metric, v in scores.items()} for name, scores in values.items()}
    comparisons = [*compare(own, values["smoothed"], "smoothed"), *compare(own, values["independent"], "independent")]
    beyond = tuple(metric for metric, floor in floors.items() if _is_beyond(means[generator][metric], floor, metric))
    reasons = copies(means[generator], means["holdout"], means["bootstrap"])
    counts = {
        control: {
            outcome: [c.metric for c in comparisons if c.control == control and c.outcome == outcome]
            for outcome in ("better", "worse", "level")
        }
        for control in ("smoothed", "independent")
    }
    closer = means[generator]["dcr_ratio"] < means["smoothed"]["dcr_ratio"]
    beats = {control: len(found["better"]) > len(found["worse"]) for control, found in counts.items()}
    recommended = all(beats.values()) and not reasons and not closer and not leaked_share
    sentences = [_against(generator, control, found, beats[control]) for control, found in counts.items()]
    sentences.append(
        f"It lies beyond the noise between two real samples on {_listed(beyond)}."
        if beyond
        else "No distance lies beyond the noise between two real samples."
    )
    sentences.append(
        "It repeats its training rows: " + "; ".join(reasons) + "."
        if reasons
        else "Nothing here shows that it repeats its training rows, which is no proof of privacy."
    )
    if closer:
        sentences.append("It stays closer to the training rows than `smoothed`, so its gains may be copying.")
    if leaked_share:
        sentences.append(
            f"{leaked_share:.0%} of the hold-out rows are also among the training rows: scores on them prove nothing."
        )
    sentences.append(
        "By the rule printed below it earns a recommendation on this split."
        if recommended
        else "By the rule printed below it has not earned a recommendation on this split."
    )
    return Verdict(generator, tuple(sentences), tuple(comparisons), beyond, bool(reasons), recommended)


RULE = (
    "Recommended: better than `smoothed` and than `independent` on more headline metrics than worse (95 % interval of "
    "the paired difference over resamples off zero), not closer to the training rows than `smoothed`, no sign of "
    "copying, no leaked hold-out row. Intervals show what resampling one fitted table leaves open; another split or "
    "training seed can differ by more."
)


def _against(generator: str, control: str, found: Mapping[str, list[str]], beats: bool) -> str:
    verb = "beats" if beats else "does not beat"
    return (
        f"`{generator}` {verb} `{control}`: better on {_listed(found['better'])}, worse on {_listed(found['worse'])}, "
        f"no difference beyond its interval on {_listed(found['level'])}."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def _is_beyond(value: float, floor: np.ndarray, metric: str) -> bool:
    if METRICS[metric].better == "larger":
        return value < np.quantile(floor, 0.05)
    return value > np.quantile(floor, 0.95)


def objectives(
    values: Mapping[str, Float[np.ndarray, " r"]], ceiling_rmse: float | None, blend: BlendCurve | None
) -> list[Objective]:
    """Objectives O1 to O4 of the project plan, in the reading that the names and targets print."""
    ks, ad = (float(np.mean(values[name])) for name in ("ks_max", "ad_max"))
    found = [
        Objective("O1 fidelity", "KS < 0.15 in every column", f"{ks:.3f}", ks < 0.15),
        Objective("O1 fidelity", "Anderson-Darling distance < 0.22 in every column", f"{ad:.3f}", ad < 0.22),
    ]
    target = "RMSE at most 8 % above TRTR with 20 to 40 % synthetic rows"
    if blend is None:
        found.append(Objective("O2 utility", target, "no target column", None))
    else:
        chosen = (blend.shares > 0.59) & (blend.shares < 0.81)
        gap = float(np.mean(blend.fixed.rmse[:, chosen]) / np.mean(blend.ceiling.rmse) - 1) if chosen.any() else np.nan
        found.append(Objective("O2 utility", target, f"{gap:+.1%}", gap <= 0.08))
    spread = float(np.std(values["ks"], ddof=1))
    found.append(Objective("O3 robustness", "SD of KS over resamples < 0.02", f"{spread:.3f}", spread < 0.02))
    target = "SD of TSTR RMSE over resamples < 2 % of the TRTR RMSE"
    if ceiling_rmse is None:
        found.append(Objective("O3 robustness", target, "no target column", None))
    else:
        spread = float(np.std(values["tstr_rmse"], ddof=1)) / ceiling_rmse
        found.append(Objective("O3 robustness", target, f"{spread:.1%}", spread < 0.02))
    target = "a real share where adding or replacing rows improves on TRTR"
    if blend is None:
        found.append(Objective("O4 benefit interval", target, "no target column", None))
    else:
        parts = [f"{design} {_shares(blend, design)}" for design in ("fixed", "added")]
        met = any(benefit_shares(blend, design) for design in ("fixed", "added"))
        found.append(Objective("O4 benefit interval", target, "; ".join(parts), met))
    return found


def benefit_shares(blend: BlendCurve, design: str) -> list[float]:
    """Real shares at which R2 lies above the ceiling's by more than its interval over repeats."""
    scores = getattr(blend, design).r2
    measured = np.isfinite(scores).all(axis=0)
    if len(scores) < 2 or not measured.any():
        return []
    return benefit(blend.shares[measured], scores[:, measured], blend.ceiling.r2, 0.0)[1]


def _shares(blend: BlendCurve, design: str) -> str:
    return _listed([f"{share:.0%}" for share in benefit_shares(blend, design)])
