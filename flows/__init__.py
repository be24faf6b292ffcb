"""Prefect flows: one module for each source or product, which connects the packages. `python -m flows` lists them."""

import os

# Before numpy is loaded, which reads it then. A fit makes thousands of calls on matrices of a few rows, and between
# them the threads of the linear algebra wait for each other: a fit of liquidations took 9 s of processor time with two
# threads, 0.8 s with one. The engine has threads of its own, which this leaves alone.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
