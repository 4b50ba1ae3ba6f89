"""The page of saved results."""
