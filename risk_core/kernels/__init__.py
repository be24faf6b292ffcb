"""Compiled inner loops: arrays in, `out` last, no allocation that grows with the book, no policy of their own.

Only `risk_core` imports them. They import nothing from the rest of the package.
"""
