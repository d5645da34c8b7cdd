"""jax as the commands use it: in the wanted precision, with compiled programs kept for the next command."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Where compiled programs are kept unless JAX_COMPILATION_CACHE_DIR names another folder; safe to delete."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "jaxcop" / "programs"


def start_jax(*, wide: bool = True):
    """jax; ``wide`` in 64 bits, so that a table's numbers come back to the last digit.

    Programs are kept however quickly they compiled: a report needs hundreds of small ones.
    """
    import jax

    if wide:
        jax.config.update("jax_enable_x64", True)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
    for variable, name, value in (
        ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "jax_persistent_cache_min_compile_time_secs", 0.0),
        ("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        if variable not in os.environ:
            jax.config.update(name, value)
    return jax
