"""What the market pays: exchange candles, and the sources that are compared with them."""
