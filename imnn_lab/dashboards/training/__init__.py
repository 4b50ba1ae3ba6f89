"""The page that trains and steers."""
