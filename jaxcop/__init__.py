"""Dependence modelling and small-sample tabular synthesis in JAX."""

__version__ = "0.1.0"
