"""The gradient of the estimates with respect to the data."""

import numpy as np
from makers import gaussian_data, plain_imnn


def test_it_is_the_slope_of_the_estimates():
    imnn = plain_imnn(dtype="float64")
    imnn.fit(5)
    data = gaussian_data()[0][:3].astype(np.float64)
    gradient = imnn.gradient(data)
    assert gradient.shape == (3, 2, 10)
    np.testing.assert_allclose(imnn.gradient(data[1]), gradient[1], rtol=1e-12)
    step = 1e-5  # of a value; its error is of order step², 1e-10, and of rounding, 1e-11
    for i in (0, 7):
        moved = np.zeros(10)
        moved[i] = step
        slope = (imnn.get_estimate(data + moved) - imnn.get_estimate(data - moved)) / (2 * step)
        np.testing.assert_allclose(gradient[..., i], slope, rtol=1e-5, atol=1e-7)
