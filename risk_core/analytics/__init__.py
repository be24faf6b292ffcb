"""Analytics: arrays in, arrays out.

A figure is a function of arrays that a test can work out by hand. Code that reads the warehouse for it, or draws it,
stands in `data`, `flows` and `dashboard`. One module for each subject; none knows a market or a result.

Only what the engine itself uses is imported here. Import the others by their module, such as
`risk_core.analytics.hawkes`: they load scipy's optimisers and distributions, which would slow the engine's start.
"""

from risk_core.analytics.dependence import calibrate, cholesky, ewma_volatility, hourly_decay, shrunk_correlation

__all__ = ["calibrate", "cholesky", "ewma_volatility", "hourly_decay", "shrunk_correlation"]
