"""Analytics: array in, array out. A figure is a function of arrays that a test can work out by hand; what reads the
warehouse for it, or draws it, stands above. One module a subject; it knows of markets and results nothing.

What the engine itself uses is handed on here. The others are imported by name, as `risk_core.analytics.hawkes` is:
they bring scipy's optimisers and distributions, which the engine starts without.
"""

from risk_core.analytics.dependence import calibrate, cholesky, ewma_volatility, hourly_decay, shrunk_correlation

__all__ = ["calibrate", "cholesky", "ewma_volatility", "hourly_decay", "shrunk_correlation"]
