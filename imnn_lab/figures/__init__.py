"""Figures: what each shows, as plain arrays, and what draws it."""
