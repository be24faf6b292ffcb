"""Quarantine: what was refused is kept whole, with its reasons, until it is replayed or dropped.

`data.store.refused` keeps a refused batch and `data.store.packed` is the form of its rows. Here `aside` keeps what a
source could not even read, `replay` writes or drops a batch, and `commands` is `python -m data quarantine`.
"""
