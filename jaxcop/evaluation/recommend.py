"""Which of the compared synthesizers to take, by a rule that was written before any score was seen."""

from typing import NamedTuple

import numpy as np

from jaxcop.evaluation.compare import Compared
from jaxcop.evaluation.evaluate import CONTROLS
from jaxcop.evaluation.verdict import METRICS, copies
from jaxcop.metrics.comparison import Difference, paired_difference

SIMPLEST_FIRST = ("copula_gaussian", "copula_student_t", "gaussian_mixture_copula", "vae", "vae_gmm")
"""A name that is not among these counts as less simple than all of them."""

CHOICE_RULE = (
    "Rule: synthesizers that failed on a fold or show signs of copying are left out (distance ratio or authenticity "
    "nearer to the bootstrap's than to the hold-out's, or more exact copies, by the means over folds). Of the others "
    "the one with the lowest mean {score} is the best; the simplest whose paired difference to it is at most one "
    "standard error of that difference over folds is recommended. Simplest first: {order}. One beats `smoothed` if "
    "the corrected 95 % interval of the paired difference (Nadeau & Bengio 2003) lies below zero."
)


class Recommendation(NamedTuple):
    """``name`` is None where nothing can be recommended. ``differences`` are paired, each generator minus
    ``reference`` (the recommended one, else `smoothed`) in ``score``, lower is better; ``beats`` are those that beat
    `smoothed`; ``copying`` gives reasons by generator; ``warnings`` are what a user must not miss."""

    name: str | None
    score: str
    reference: str
    differences: dict[str, Difference]
    beats: tuple[str, ...]
    copying: dict[str, list[str]]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]


def recommend(found: Compared) -> Recommendation:
    """Apply ``CHOICE_RULE``: the score is TSTR RMSE where there is a target, else the unbiased MMD²."""
    score = "mmd" if found.target is None else "tstr_rmse"
    label = METRICS[score].label
    generators = (*found.synthesizers, *CONTROLS)
    values = {name: found.values(name, score) for name in generators}
    signs = ("dcr_ratio", "authenticity", "exact_copies")
    means = {
        name: {metric: float(found.values(name, metric).mean()) for metric in signs}
        for name in (*generators, "holdout")
    }
    failed = [name for name in found.synthesizers if not np.isfinite(values[name]).all()]
    copying = {
        name: copies(means[name], means["holdout"], means["bootstrap"])
        for name in (*found.synthesizers, "smoothed", "independent")
        if name not in failed
    }
    candidates = [name for name in found.synthesizers if name not in failed and not copying[name]]
    ratio = float(np.mean([fold.holdout / fold.train for fold in found.folds]))
    beats = tuple(
        name for name in candidates if paired_difference(values[name], values["smoothed"], ratio).corrected_high < 0
    )
    name, reasons = _chosen(candidates, values, label)
    sentences, warnings = [], []
    sentences.append(f"Recommended: {name}." if name else "None of the synthesizers can be recommended.")
    sentences += reasons
    sentences += [f"{other} failed on a fold: {_reason(found, other)}" for other in failed]
    sentences += [
        f"{other} shows signs of copying: {'; '.join(why)}."
        for other, why in copying.items()
        if why and other in found.synthesizers
    ]
    if beats:
        sentences.append(
            f"Beyond chance better than `smoothed`, the training rows with a little noise: {_list(beats)}."
        )
    else:
        warnings.append(f"no synthesizer beats `smoothed`, the training rows with a little noise, in {label}")
    if copying["smoothed"]:
        sentences.append("`smoothed` itself shows signs of copying: it is a bar to pass, not rows to share.")
    if name is None:
        warnings.append("no synthesizer is left to recommend")
    elif means[name]["dcr_ratio"] < means["smoothed"]["dcr_ratio"]:
        sentences.append(f"{name} stays closer to the training rows than `smoothed`, so its gains may be copying.")
    leaked = float(np.mean([fold.leaked_share for fold in found.folds]))
    if leaked:
        remedy = "use --group to keep rows that belong together in one fold" if found.group is None else "drop repeats"
        warnings.append(f"{leaked:.1%} of the scored rows have a near-duplicate in another fold; {remedy}")
    reference = name or "smoothed"
    differences = {
        other: paired_difference(values[other], values[reference], ratio)
        for other in generators
        if other != reference and other not in failed
    }
    return Recommendation(
        name, score, reference, differences, beats, copying, (*sentences, *map(_sentence, warnings)), tuple(warnings)
    )


def _chosen(candidates: list[str], values: dict[str, np.ndarray], label: str) -> tuple[str | None, list[str]]:
    """The simplest candidate within one standard error of the best, and why."""
    if not candidates:
        return None, []
    best = min(candidates, key=lambda name: values[name].mean())
    count = len(values[best])
    errors = {name: (values[name] - values[best]).std(ddof=1) / np.sqrt(count) for name in candidates}
    gaps = {name: (values[name] - values[best]).mean() for name in candidates}
    level = [name for name in candidates if gaps[name] <= errors[name]]
    name = min(level, key=_complexity)
    reasons = [f"Lowest mean {label} over {count} folds: {best}, {values[best].mean():.4g}."]
    if name != best:
        reasons.append(
            f"{name} is simpler, and its {label} is higher by {gaps[name]:.2g} only, within one standard error "
            f"({errors[name]:.2g}) of the paired difference."
        )
    return name, reasons


def _complexity(name: str) -> int:
    return SIMPLEST_FIRST.index(name) if name in SIMPLEST_FIRST else len(SIMPLEST_FIRST)


def _reason(found: Compared, name: str) -> str:
    return next((fold.failures[name] for fold in found.folds if name in fold.failures), "a score is not finite.")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _list(names) -> str:
    return ", ".join(names)


def rule_text(found: Compared) -> str:
    """``CHOICE_RULE`` with the score of this comparison."""
    score = METRICS["mmd" if found.target is None else "tstr_rmse"].label
    return CHOICE_RULE.format(score=score, order=", ".join(SIMPLEST_FIRST))
