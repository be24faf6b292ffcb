"""Quarantine: what was refused is kept whole, with its reasons, until it is replayed or dropped.

`record` keeps a refused batch, `content` is the form its rows are kept in, `replay` writes or drops it, `commands` is
`python -m data quarantine`.
"""
