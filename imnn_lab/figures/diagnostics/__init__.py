"""What reports of diagnostics look like: a module for each subject."""
