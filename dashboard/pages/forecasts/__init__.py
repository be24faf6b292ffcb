"""Whether the forecasts held: each beside what came, and the record of every law."""
