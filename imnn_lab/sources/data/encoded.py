"""Data that are encoded as they are read; see `imnn_lab.encoding`."""

from __future__ import annotations

from imnn_lab.sources.collection import Data, LabelledSimulations


class EncodedData(Data):
    """Data of another kind, here `value`, as the network takes them."""

    def simulations(self) -> LabelledSimulations:
        """Iterate over the encoded simulations."""
        encoding, layout = self.settings.encoding, self.layout
        assert encoding is not None
        for index, value, origin in self.value.simulations():
            context = layout.at(index, origin)
            yield index, encoding.encoded(context, value, 0, layout.is_tangent), origin
