"""How tests and the examples of docstrings compile: with 64 bits, so that both precisions are tested side by side."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)

# These compare runs with runs, tables with files, masks with shapes, or show how a function is called: how well LLVM
# optimises does not matter to them, and compiling is most of their time. Values and gradients are tested on the code
# that users run.
PLUMBING = tuple(
    f"tests/test_{name}.py"
    for name in (
        "checkpoint",
        "evaluate",
        "evaluation",
        "figures",
        "fragmentation",
        "pipeline",
        "study",
        "sweep",
        "synthesizers",
    )
)


@pytest.fixture(scope="module", autouse=True)
def _programs_of_one_file(request):
    """Free the compiled programs of a file: each holds memory maps, of which Linux grants a process 65,530."""
    plumbing = request.node.nodeid in PLUMBING or request.node.nodeid.startswith("jaxcop/")
    jax.config.update("jax_disable_most_optimizations", plumbing)
    yield
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
