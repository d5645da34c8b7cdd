"""Shared fixtures. Tests run with 64-bit enabled, so that dtype following is tested in both precisions side by side."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)


@pytest.fixture(scope="module", autouse=True)
def _programs_of_one_file():
    """Free the compiled programs of a file: each holds memory maps, of which Linux grants a process 65,530."""
    yield
    jax.clear_caches()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[0, 1, 2])
def seed(request):
    return request.param


@pytest.fixture
def key(seed):
    return jax.random.key(seed)
