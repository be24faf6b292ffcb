"""Prefect flows: one module for each source or product, which connects the packages. `python -m flows` lists them."""
