"""How every kernel is compiled.

`nogil`: a shard of paths runs in a plain thread pool, which is safe under Flask and Prefect threads and after a
fork; `prange` is neither. `error_model="numpy"`: the Python model puts a ZeroDivision branch before each
division and stops vectorisation (measured 5.7x slower on Box-Muller). No `fastmath`: reassociation and fused
multiply-add would change bits, and pruned and brute-force runs must agree bit for bit. No reference counting
(`_nrt=False`): kernels allocate nothing, their callers keep every array alive, and a kernel that passes twenty arrays
to a function for each account spends half its time on atomic counters (seen in its disassembly), on two cores more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the GIL and with an on-disk cache (see NUMBA_CACHE_DIR)."""
    return njit(nogil=True, _nrt=False, error_model="numpy", cache=True)(function)


def merged(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `kernel`, and compiled into its callers by LLVM: for what an inner loop calls with many arrays."""
    return njit(nogil=True, _nrt=False, error_model="numpy", cache=True, forceinline=True)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `kernel`, inlined before typing: scalar arithmetic inside vectorised loops, never functions of arrays."""
    return njit(nogil=True, _nrt=False, error_model="numpy", cache=True, inline="always")(function)
