"""How every kernel is compiled.

`nogil`: a shard of paths runs in a plain thread pool, which is safe under Flask and Prefect threads and after a
fork; `prange` is neither. `error_model="numpy"`: the Python model puts a ZeroDivision branch before each
division and stops vectorisation (measured 5.7x slower on Box-Muller). No `fastmath`: reassociation and fused
multiply-add would change bits, and pruned and brute-force runs must agree bit for bit. No reference counting
(`_nrt=False`): kernels allocate nothing, their callers keep every array alive, and a kernel that passes twenty arrays
to a function for each account spends half its time on atomic counters (seen in its disassembly), on two cores more.
"""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Callable
from typing import Any

from numba import config, njit
from numba.core.caching import IndexDataCacheFile
from numba.core.registry import CPUDispatcher

import risk_core.kernels.laws


def _sources() -> str:
    """Digest of every kernel's source."""
    digest = hashlib.sha256()
    for package in (risk_core.kernels, risk_core.kernels.laws):
        for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg):
            digest.update(pkgutil.get_data(package.__name__, f"{module}.py") or b"")
    return digest.hexdigest()


_DIGEST = _sources()


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        # `make coverage`: plain Python, slow, the same figures
        return function
    settings: dict[str, Any] = dict(nogil=True, _nrt=False, error_model="numpy", cache=True, no_cfunc_wrapper=True)
    dispatcher = njit(**settings, **options)(function)
    # numba keys its on-disk cache by the file that a kernel stands in, not by the files of the kernels it calls: after
    # an edit of `settle` a cached `run_shard` would go on liquidating by the old rule. Key it by all of them, also in
    # the file's name: an old index that names a class that has moved cannot even be read.
    cache = dispatcher._cache
    cache._cache_file = IndexDataCacheFile(
        cache_path=cache._cache_path, filename_base=f"{cache._impl.filename_base}-{_DIGEST[:16]}", source_stamp=_DIGEST
    )
    return dispatcher


class _Inner(CPUDispatcher):
    """A kernel that Python cannot call: numba's own dispatcher would jump to address 0."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        raise TypeError(f"{self.py_func.__name__}: only kernels can call it; compile it with `kernel` to call it here")


def _inner(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    dispatcher = _compiled(function, no_cpython_wrapper=True, **options)
    if dispatcher is not function:
        dispatcher.__class__ = _Inner
    return dispatcher


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the GIL and with an on-disk cache (see NUMBA_CACHE_DIR), to be called from Python, too."""
    return _compiled(function)


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `kernel`, for functions that only other kernels call.

    Python cannot call them: unpacking bundles of arrays from Python takes a tenth of the time to compile the engine.
    """
    return _inner(function)


def merged(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `inner`, and compiled into its callers by LLVM: for what an inner loop calls with many arrays."""
    return _inner(function, forceinline=True)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `inner`, inlined before typing: scalar arithmetic inside vectorised loops, never functions of arrays."""
    return _inner(function, inline="always")


def lowest(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `merged`, for minima of numbers known not to be NaN: without that promise LLVM does not vectorise them.

    The two flags change no value (no reassociation, no contraction); the sign of a zero cannot matter to a bound.
    """
    return _inner(function, forceinline=True, fastmath={"nnan", "nsz"})
