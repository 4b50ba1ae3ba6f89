"""Waiting for what another thread does."""

import time


def until(condition, seconds=120):
    """Wait until a condition holds; return what it gave."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)
    return result
