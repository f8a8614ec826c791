"""Routes beside the protocol: feedback, versions, forecasts, lags, the description."""
