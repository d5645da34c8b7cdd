"""Shared fixtures. Tests run with 64-bit enabled, so that dtype following is tested in both precisions side by side."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)


# These compare runs with runs, tables with files, masks with shapes: how well LLVM optimises does not matter to them,
# and compiling is most of their time. Values and gradients are tested on the code that users run.
PLUMBING = (
    "test_checkpoint", "test_evaluate", "test_evaluation", "test_figures", "test_fragmentation", "test_pipeline",
    "test_study", "test_synthesizers",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _programs_of_one_file(request):
    """Free the compiled programs of a file: each holds memory maps, of which Linux grants a process 65,530."""
    jax.config.update("jax_disable_most_optimizations", request.module.__name__ in PLUMBING)
    yield
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[0, 1, 2])
def seed(request):
    return request.param


@pytest.fixture
def key(seed):
    return jax.random.key(seed)
