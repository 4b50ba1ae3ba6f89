"""Files of simulations in the formats people have, read in parts: NumPy, HDF5, zarr and FITS.

Nothing here needs TensorFlow.
"""

from __future__ import annotations

from imnn_lab.files.sets import Files

__all__ = ["Files"]
