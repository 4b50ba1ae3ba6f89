"""The blocks of the description of imnn-tf 0.2.0, adapted as little as possible."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

from imnn_lab import IMNN, TFRecords, problems

problem = problems.gaussian()
n_s, n_d, n_params, n_summaries, input_shape = 200, 200, 2, 2, (10,)
θ_fid, δθ = problem.θ_fid, problem.δθ
fiducial, derivative = problem.training_set(n_s, n_d, 1)
validation_fiducial, validation_derivative = problem.training_set(n_s, n_d, 2)


def network():
    tf.keras.utils.set_random_seed(2)
    LeakyReLU = tf.keras.layers.LeakyReLU
    model = tf.keras.Sequential(
        [
            tf.keras.Input(shape=input_shape),
            tf.keras.layers.Dense(128),
            LeakyReLU(0.01),
            tf.keras.layers.Dense(128),
            LeakyReLU(0.01),
            tf.keras.layers.Dense(n_summaries),
        ]
    )
    opt = tf.keras.optimizers.Adam()
    return model, opt


SIGNATURES = {
    IMNN: (
        "n_s n_d n_params n_summaries θ_fid δθ input_shape fiducial derivative "
        "validation_fiducial validation_derivative model optimiser save load weights directory "
        "filename at_once map_fn check_shape verbose dtype itype"
    ),
    IMNN.fit: "n_iterations λ ε reset patience min_iterations checkpoint tqdm_notebook weight_file",
    IMNN.plot: "regulariser known_det_fisher figsize",
    TFRecords.write_record: (
        "n_sims get_simulation fiducial n_params validation directory filename"
    ),
}


@pytest.mark.parametrize("called", SIGNATURES, ids=lambda called: called.__qualname__)
def test_arguments_have_the_order_of_the_description(called):
    parameters = [
        parameter.name
        for parameter in inspect.signature(called).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]
    assert parameters == SIGNATURES[called].split()


def test_all_arguments_by_position(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, optimiser = network()
    save, load, weights, directory, filename = True, False, None, "model", "model"
    at_once, map_fn, check_shape, verbose = 100, None, True, False
    imnn = IMNN(
        n_s, n_d, n_params, n_summaries, θ_fid, δθ, input_shape,
        fiducial, derivative, validation_fiducial, validation_derivative,
        model, optimiser, save, load, weights, directory,
        filename, at_once, map_fn, check_shape, verbose,
        tf.float32, tf.int32,
    )  # fmt: skip
    n_iterations, λ, ε, reset, patience = 20, 10.0, 0.1, True, 10
    min_iterations, checkpoint, tqdm_notebook, weight_file = 5, 5, False, "weights"
    imnn.fit(
        n_iterations, λ, ε, reset, patience, min_iterations, checkpoint, tqdm_notebook, weight_file
    )
    keys = ["det_F", "det_C", "det_Cinv", "dμ_dθ", "reg", "r"]
    keys += ["val_det_F", "val_det_C", "val_det_Cinv", "val_dμ_dθ"]
    for key in keys:
        assert len(imnn.history[key]) == len(imnn.history["iteration"]) > 1
    imnn.plot(True, 50.0, (5, 8))
    imnn.plot(regulariser=True, known_det_fisher=50, figsize=(5, 8))
    for name in ("F", "Finv", "C", "Cinv", "μ", "dμ_dθ", "θ_fid", "δθ", "model"):
        assert getattr(imnn, name) is not None

    input_data = validation_fiducial[:7].astype("float32")
    estimates = imnn.get_estimate(input_data)
    assert estimates.shape == (7, n_params)

    model = tf.keras.models.load_model("model/model/model.keras")
    estimator_parameters = np.load("model/model/estimator.npz")
    Finv = estimator_parameters["Finv"]
    θ_fid_ = estimator_parameters["θ_fid"]
    dμ_dθ = estimator_parameters["dμ_dθ"]
    Cinv = estimator_parameters["Cinv"]
    μ = estimator_parameters["μ"]

    @tf.function
    def estimator(data):
        return tf.add(θ_fid_, tf.einsum("ij,jk,kl,ml->mi", Finv, dμ_dθ, Cinv, model(data) - μ))

    np.testing.assert_allclose(estimator(input_data), estimates, rtol=2e-3, atol=1e-4)

    def estimator(data):
        return θ_fid_ + np.einsum("ij,jk,kl,ml->mi", Finv, dμ_dθ, Cinv, model(data) - μ)

    np.testing.assert_allclose(estimator(input_data), estimates, rtol=2e-3, atol=1e-4)


def test_all_arguments_by_keyword_and_loading(tmp_path):
    model, optimiser = network()
    described = {
        "n_s": n_s, "n_d": n_d, "n_params": n_params, "n_summaries": n_summaries,
        "θ_fid": θ_fid, "δθ": δθ, "input_shape": input_shape, "fiducial": fiducial,
        "derivative": derivative, "validation_fiducial": validation_fiducial,
        "validation_derivative": validation_derivative, "directory": str(tmp_path),
        "filename": "model", "at_once": n_s, "map_fn": None, "check_shape": True,
        "verbose": False, "dtype": tf.float32, "itype": tf.int32,
    }  # fmt: skip
    imnn = IMNN(**described, model=model, optimiser=optimiser, save=True, load=False, weights=None)
    given = {"λ": 10.0, "\u03f5": 0.1, "reset": False, "patience": 2, "min_iterations": 3}
    imnn.fit(n_iterations=None, **given, checkpoint=None, tqdm_notebook=False, weight_file="mine")

    loaded = IMNN(**described, optimiser=optimiser, save=False, load=True, weights="mine")
    np.testing.assert_allclose(loaded.F, imnn.F, rtol=1e-3)
    np.testing.assert_array_equal(loaded.history["val_det_F"], imnn.history["val_det_F"])


def test_optional_arguments_are_optional():
    imnn = IMNN(n_s, n_d, n_params, n_summaries, θ_fid, δθ, input_shape,
                fiducial, derivative, None, None, verbose=False)  # fmt: skip
    imnn.fit(2)
    assert imnn.statistics_from == "training"


def test_the_loaders_of_the_description():
    def fiducial_loader(seed):
        yield fiducial[seed], seed

    def derivative_loader(seed, derivative_, parameter):
        yield derivative[seed, derivative_, parameter], (seed, derivative_, parameter)

    def validation_fiducial_loader(seed):
        yield validation_fiducial[seed], seed

    def validation_derivative_loader(seed, derivative, parameter):
        yield (
            validation_derivative[seed, derivative, parameter],
            (seed, derivative, parameter),
        )

    imnn = IMNN(n_s, n_d, n_params, n_summaries, θ_fid, δθ, input_shape,
                fiducial_loader, derivative_loader,
                validation_fiducial_loader, validation_derivative_loader, *network(),
                at_once=100, verbose=False)  # fmt: skip
    imnn.fit(1)
    assert imnn.validation.n_s == n_s


def test_records_of_the_description(tmp_path):
    writer = TFRecords(record_size=0.01, padding=5)
    loaders = [lambda seed: fiducial[seed], lambda *index: derivative[index]]
    files = [
        writer.write_record(n_s, loaders[0], True, None, False, str(tmp_path), None),
        writer.write_record(n_d, loaders[1], False, n_params, False, str(tmp_path), None),
    ]
    names = [sorted(map(str, tmp_path.glob(f"{kind}_*"))) for kind in ("fiducial", "derivative")]
    assert files == names
    imnn = IMNN(n_s, n_d, n_params, n_summaries, θ_fid, δθ, input_shape,
                *files, None, None, *network(), verbose=False)  # fmt: skip
    imnn.fit(1)
    assert imnn.statistics_from == "training"
