"""Whether the forecasts held: each with its outcome, and the record of every law."""
