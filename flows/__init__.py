"""Prefect flows: one module for each source or product, wiring only. `python -m flows` lists them."""
