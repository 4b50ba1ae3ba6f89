"""What a user hands over as one finite real array of one shape: masks, complex numbers, sets."""

from imnn_lab.encoding.encoding import Encoding, holds_several
from imnn_lab.encoding.part import Part, as_shape

__all__ = ["Encoding", "Part", "as_shape", "holds_several"]
