"""The served laboratory: from a problem or own data to a network, posteriors and results."""
