"""How tests and the examples of docstrings compile: with 64 bits, so that both precisions are tested side by side."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)

# These compare runs with runs, tables with files, masks with shapes, train and search with densities that are tested
# elsewhere, or show how a function is called. How well LLVM optimises does not matter to them, and compiling is most of
# their time. Values and gradients of densities, transforms, samplers and metrics are tested on the code that users run.
NOT_OPTIMISED = (
    "bayes", "bayes_mixture", "categories", "checkpoint", "cli", "cli_given", "cli_runs", "compare",
    "conditional_synthesizers", "constraints", "copula_fitting", "copula_inference", "csv_fuzz", "evaluate",
    "evaluation", "figures", "fragmentation", "goodness_of_fit", "imbalanced_arms", "imbalanced_experiment", "latent",
    "metrics_augmentation", "metrics_calibration", "metrics_contract", "metrics_faed", "pipeline", "readme", "study",
    "sweep", "synthesizers", "table_sweep", "tuning", "vae", "vae_decoders", "vae_likelihood",
)  # fmt: skip

# Examples that compile for long, of what tests of their own cover.
LONG_EXAMPLES = (
    "jaxcop.bayes.copula.copula_posterior", "jaxcop.bayes.mixture.mixture_posterior",
    "jaxcop.copulas.validation.cross_validated", "jaxcop.copulas.validation.held_out",
    "jaxcop.evaluation.evaluate.evaluate", "jaxcop.synthesizers.conditional.sample_given",
    "jaxcop.synthesizers.purpose.rebalance", "jaxcop.vae.diagnostics.diagnose",
    "jaxcop.vae.sampling.fit_posterior_mixture",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if item.name in LONG_EXAMPLES:
            item.add_marker(pytest.mark.slow)


def _compile_quickly(item) -> None:
    """Whether LLVM may be lazy; never for slow tests, which run for longer than they compile."""
    name = item.nodeid.split("::")[0]
    quick = name.startswith("jaxcop/") or name in [f"tests/test_{part}.py" for part in NOT_OPTIMISED]
    jax.config.update("jax_disable_most_optimizations", quick and item.get_closest_marker("slow") is None)


@pytest.fixture(scope="module", autouse=True)
def _programs_of_one_file(request):
    """Free the compiled programs of a file: each holds memory maps, of which Linux grants a process 65,530."""
    _compile_quickly(request.node)
    yield
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(autouse=True)
def _programs_of_one_test(request):
    _compile_quickly(request.node)
