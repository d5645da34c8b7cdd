"""Shared fixtures."""

import jax
import pytest


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=[0, 1, 2])
def seed(request):
    return request.param


@pytest.fixture
def key(seed):
    return jax.random.key(seed)
