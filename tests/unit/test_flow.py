"""How much information a linear readout finds in each layer."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from imnn_lab import IMNN, networks, problems
from imnn_lab.figures import diagnostics as figures
from imnn_lab.figures import draw

PROBLEM = problems.gaussian()
SETS = [x.astype("float32") for i in (1, 2) for x in PROBLEM.training_set(500, 500, i)]


def made(model, **options):
    sizes = (500, 500, 2, 2, PROBLEM.θ_fid, PROBLEM.δθ, (10,))
    return IMNN(*sizes, *SETS, model=model, seed=1, verbose=False, **options)


def test_squares_find_what_values_cannot():
    """All information is in mean and squares; the variance is in no linear readout of the data."""
    data = keras.Input((10,))
    squares = keras.layers.Concatenate(name="squares")(
        [data, keras.layers.Multiply()([data, data])]
    )
    imnn = made(keras.Model(data, keras.layers.Dense(2)(squares)))
    flow = dict(zip((found := imnn.fisher_flow()).layers, found.now, strict=True))
    assert flow["squares"] == pytest.approx(np.log(50), abs=0.4)  # 5 sd of ln det F, 500 seeds
    assert found.now[-1] == pytest.approx(imnn.validation.log_det_F, abs=0.4)
    assert found.now[0] < np.log(50) - 3  # the control: squares alone know nothing of the mean


def test_training_moves_it_from_where_it_began():
    model = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(2)]
    )
    imnn = made(model)
    np.testing.assert_array_equal((flow := imnn.fisher_flow()).before, flow.now)
    imnn.fit(20, best=False)
    after = imnn.fisher_flow()
    np.testing.assert_array_equal(after.before, flow.before)
    assert after.now[0] != after.before[0]


def test_layers_inside_a_network_are_told_apart():
    inside = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(8, "tanh", name="first"), keras.layers.Dense(2)],
        name="inside",
    )
    model = keras.Sequential([keras.Input((10,)), inside, keras.layers.Activation("tanh")])
    imnn = made(model)  # with a whitening layer behind the whole
    flow = imnn.fisher_flow()
    assert "/inside/first" in "".join(f"/{name}" for name in flow.layers)
    assert flow.layers[-1] == "whitening"
    (data,) = imnn.model.inputs
    outside = keras.Model(data, inside.layers[0](data))
    at = [name.endswith("inside/first") for name in flow.layers].index(True)
    alone = made(keras.Sequential([outside, keras.layers.Dense(2)]))
    first = [name.endswith("/first") for name in alone.fisher_flow().layers].index(True)
    assert alone.fisher_flow().now[first] == pytest.approx(flow.now[at], abs=1e-6)


def test_a_network_from_another_thread_is_looked_into():
    """Keras counts the names of layers anew in each thread, so that they may be the same."""

    def in_a_thread(act):
        return ThreadPoolExecutor(1).submit(act).result()

    model = in_a_thread(lambda: networks.linear((10,), 2, seed=1))
    assert {"concatenate"} < {layer.name for layer in model.layers}, "or this shows nothing"
    imnn = made(model)
    assert len(in_a_thread(imnn.fisher_flow).layers) > 1


def test_it_is_followed_over_training(monkeypatch):
    imnn = made(networks.dense((10,), 2, hidden=(8,), seed=1))
    record = imnn.record_flow(every=5)
    with pytest.raises(RuntimeError, match="Nothing is recorded yet"):
        _ = record.flow
    imnn.fit(20, callback=record, best=False)
    flow = record.flow
    assert (np.diff(flow.iterations) >= 5).all()
    assert len(flow.iterations) >= 2
    assert flow.log_det_F.shape == (len(flow.iterations), len(flow.layers))
    np.testing.assert_array_equal(flow.now[np.isfinite(flow.now)].shape, (len(flow.layers),))
    (axes,) = draw(figures.fisher_flow(flow)).axes
    assert len(axes.get_lines()) >= len(flow.layers)
    with pytest.raises(ValueError, match="every"):
        imnn.record_flow(every=0)


def test_each_layer_has_a_row_from_untrained_to_now_and_the_work_tells_how_far_it_is():
    imnn = made(networks.dense((10,), 2, hidden=(8,), seed=1))
    imnn.fit(20, best=False)
    shares = []
    flow = imnn.fisher_flow(shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1] < 1, len(shares)) == (0, True, 2 * len(flow.layers))
    described = figures.flow_by_layer(flow)
    (panel,) = described.panels
    finite = np.isfinite(flow.now)
    assert [name for _, name in panel.y_names] == list(np.array(flow.layers)[finite])
    untrained, now = (layer.x.reshape(-1, 6) for layer in panel.layers)  # a span: two ends first
    np.testing.assert_array_equal(untrained[:, 3], flow.before[finite])
    np.testing.assert_array_equal(now[:, :2], np.stack([flow.before, flow.now], 1)[finite])
    draw(described)

    def cancel(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imnn.fisher_flow(cancel)


def test_wide_layers_are_left_out_and_copies_refused(tmp_path):
    imnn = made(networks.dense((10,), 2, hidden=(1001,), seed=1))
    found = imnn.fisher_flow()
    assert np.isnan(found.now[np.array(found.widths) > 1000]).all()
    assert "too wide" in str(found)
    imnn.save(tmp_path)
    with pytest.raises(RuntimeError, match="loaded without data"):
        IMNN.load(tmp_path).fisher_flow()
