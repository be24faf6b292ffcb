"""Price series, which reserve follows which series, and where sources disagree."""

from data.prices.series import SERVED, SYNTHETIC, load_prices

__all__ = ["SERVED", "SYNTHETIC", "load_prices"]
