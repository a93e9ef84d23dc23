"""From layers' times to a network's: forecasts, totals, calibration on measured networks."""
