"""The traffic: HTTP, the command line, and the sessions behind them."""
