"""The page of posteriors."""
