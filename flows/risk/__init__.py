"""From a stored snapshot and stored prices to stored figures: calibration, simulation, report."""
