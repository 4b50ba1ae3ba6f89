"""The saved state of an IMNN."""
