"""Kinds of data that simulations come in, a class for each; `sources.as_data` chooses."""
