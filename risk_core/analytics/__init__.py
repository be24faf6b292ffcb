"""Analytics: arrays in, arrays out.

A figure is a function of arrays that a test can work out by hand. Code that reads the warehouse for it, or draws it,
stands in `data`, `flows` and `dashboard`. One module for each subject; none knows a market or a result.

What the engine itself uses is handed on here. The others are imported by name, as `risk_core.analytics.hawkes` is:
they bring scipy's optimisers and distributions, which the engine starts without.
"""

from risk_core.analytics.dependence import calibrate, cholesky, ewma_volatility, hourly_decay, shrunk_correlation

__all__ = ["calibrate", "cholesky", "ewma_volatility", "hourly_decay", "shrunk_correlation"]
