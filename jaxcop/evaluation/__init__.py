"""Scores of synthetic tables, with what gives them meaning: controls, noise floors, p-values, a verdict.

``evaluate`` judges one or several synthetic tables of one split; ``fidelity`` and ``utility`` score many tables of a
study at once, as columns of numbers.
"""

from jaxcop.evaluation.comparable import comparable
from jaxcop.evaluation.compare import SYNTHESIZERS, Compared, Fold, compare
from jaxcop.evaluation.evaluate import CONTROLS, Evaluation, Score, Sizes, evaluate
from jaxcop.evaluation.recommend import Recommendation, recommend
from jaxcop.evaluation.scores import CHUNK, fidelity, utility
from jaxcop.evaluation.verdict import HEADLINE, METRICS, Comparison, Metric, Objective, Verdict

__all__ = [
    "CHUNK",
    "CONTROLS",
    "HEADLINE",
    "METRICS",
    "SYNTHESIZERS",
    "Compared",
    "Comparison",
    "Evaluation",
    "Fold",
    "Metric",
    "Objective",
    "Recommendation",
    "Score",
    "Sizes",
    "Verdict",
    "comparable",
    "compare",
    "evaluate",
    "fidelity",
    "recommend",
    "utility",
]
