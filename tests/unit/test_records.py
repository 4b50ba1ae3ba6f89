"""TFRecord files: what is written is read, and damage is named."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import write as written
from makers import gaussian_data, plain_imnn

from imnn_lab import IMNN, TFRecords
from imnn_lab.sources.collection import Layout
from imnn_lab.sources.data import records

FIDUCIAL, DERIVATIVE, VALIDATION_FIDUCIAL, VALIDATION_DERIVATIVE = gaussian_data()
SMALL = FIDUCIAL[:30]


class Settings:
    input_shape, dtype, check_shape, verbose = (10,), "float64", True, False


def read(files, n=30, n_params=None, **changes):
    settings = type("Changed", (Settings,), changes)
    counts = (n,) if n_params is None else (n, 2, n_params)
    layout = Layout("fiducial" if n_params is None else "derivative", counts)
    return records.RecordData(files, layout, settings).array()


def write(directory, array=SMALL, *rest, **keywords):
    return written(directory, array, *rest, **keywords)


def bytes_of(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def integers(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def write_examples(path, examples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for feature in examples:
            features = tf.train.Features(feature=feature)
            writer.write(tf.train.Example(features=features).SerializeToString())
    return str(path)


def plain_examples(array):
    """Make examples as imnn-tf 0.2.0 has them: float32, without dtype and shape."""
    for index in np.ndindex(array.shape[:-1]):
        names = zip(("seed", "derivative", "parameter"), index, strict=False)
        data = bytes_of([array[index].astype("float32").tobytes()])
        yield {"data": data} | {name: integers(i) for name, i in names}


def test_training_from_records_equals_training_from_arrays(tmp_path):
    data = {
        "fiducial": write(tmp_path, FIDUCIAL, record_size=0.005),
        "derivative": write(tmp_path, DERIVATIVE, record_size=0.02),
        "validation_fiducial": write(tmp_path, VALIDATION_FIDUCIAL, validation=True),
        "validation_derivative": [
            Path(file) for file in write(tmp_path, VALIDATION_DERIVATIVE, validation=True)
        ],
    }
    assert [len(files) > 1 for files in data.values()] == [True, True, False, False]
    imnn = plain_imnn(directory=str(tmp_path), filename="model", save=True, **data)
    from_arrays = plain_imnn()
    imnn.fit(5)
    from_arrays.fit(5)
    from_arrays.fit(3)
    loaded = IMNN.load(tmp_path / "model", **data)
    loaded.fit(3)
    for key in ("det_F", "val_det_F", "loss", "det_C", "reg"):
        np.testing.assert_allclose(loaded.history[key], from_arrays.history[key], rtol=1e-6)


def test_names_and_sizes_of_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write(None, SMALL) == ["fiducial_00000.tfrecords"]
    assert write("data", validation=True) == ["data/validation_fiducial_00000.tfrecords"]
    assert write(Path("data"), DERIVATIVE[:3]) == ["data/derivative_00000.tfrecords"]
    named = write("data/deep", filename="mine", validation=True)
    assert named == ["data/deep/mine_00000.tfrecords"]
    several = TFRecords(record_size=0.001, padding=2, verbose=False).write_record(
        30, lambda seed: SMALL[seed], filename="s"
    )
    assert several[:2] == ["s_00.tfrecords", "s_01.tfrecords"]
    assert all(os.path.getsize(file) <= 1000 for file in several)
    assert len(several) == len(list(tmp_path.glob("s_*")))
    one_each = write("tiny", record_size=1e-6)
    assert len(one_each) == 30
    np.testing.assert_array_equal(read(one_each[::-1]), SMALL)
    assert not list(tmp_path.rglob(".*")), "nothing half-written stays"


@pytest.mark.parametrize("name", ["../outside", "..", "a/b"])
def test_records_stay_in_their_directory(tmp_path, name):
    with pytest.raises(ValueError, match="`filename` must be the name of a file"):
        write(tmp_path / "data", SMALL, filename=name)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_refused_before_any_simulation():
    with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
        TFRecords(verbose=False).write_record(
            3, lambda seed: pytest.fail("it was simulated"), directory="/proc/imnn_lab"
        )


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "uint8", "bool", ">f8"]
)
def test_types_are_kept(tmp_path, dtype):
    array = (SMALL * 1000 + 1 / 3 if "f" in dtype else SMALL > 0).astype(dtype)
    np.testing.assert_array_equal(read(write(tmp_path, array)), array.astype("float64"))


def test_derivatives_are_written_seed_by_seed(tmp_path):
    files = write(tmp_path, DERIVATIVE[:5])
    np.testing.assert_array_equal(read(files, 5, 2), DERIVATIVE[:5])
    raw = [
        tf.train.Example.FromString(e) for e in tf.data.TFRecordDataset(files).as_numpy_iterator()
    ]
    names = ("seed", "derivative", "parameter")
    found = [tuple(e.features.feature[n].int64_list.value[0] for n in names) for e in raw]
    assert found == list(np.ndindex(5, 2, 2))


def test_generators_are_written(tmp_path):
    def fiducial(seed):
        yield SMALL[seed], seed

    files = TFRecords(verbose=False).write_record(30, fiducial, directory=tmp_path)
    np.testing.assert_array_equal(read(files), SMALL)


def test_the_bar_is_shown_only_when_wanted(tmp_path, capsys):
    write(tmp_path, SMALL)
    assert capsys.readouterr() == ("", "")
    TFRecords().write_record(30, lambda seed: SMALL[seed], directory=tmp_path)
    assert "fiducial" in capsys.readouterr().err


def test_records_of_imnn_tf_are_read(tmp_path):
    fiducial = write_examples(tmp_path / "fiducial_00000.tfrecords", plain_examples(SMALL))
    np.testing.assert_array_equal(read([fiducial]), SMALL.astype("float32"))
    np.testing.assert_array_equal(read(fiducial, dtype="float32"), SMALL.astype("float32"))
    names = [tmp_path / f"derivative_0000{i}.tfrecords" for i in range(2)]
    examples = list(plain_examples(DERIVATIVE[:6]))
    files = [
        write_examples(n, e) for n, e in zip(names, (examples[:11], examples[11:]), strict=True)
    ]
    np.testing.assert_array_equal(read(files, 6, 2), DERIVATIVE[:6].astype("float32"))
    images = read([fiducial], input_shape=(5, 2, 1))
    np.testing.assert_array_equal(images.reshape(30, 10), SMALL.astype("float32"))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n_sims": 0}, ValueError, "`n_sims`"),
        ({"n_sims": 2.5}, TypeError, "`n_sims`"),
        ({"get_simulation": SMALL}, TypeError, "`get_simulation` must be callable"),
        ({"fiducial": 1}, TypeError, "`fiducial` must be True or False"),
        ({"fiducial": False}, TypeError, "`n_params` .*need the number of parameters"),
        ({"validation": "yes"}, TypeError, "`validation`"),
        ({"directory": 3}, TypeError, "`directory`"),
        ({"filename": ""}, TypeError, "`filename`"),
        ({"get_simulation": lambda s: SMALL[s, : 10 - s]}, ValueError, r"seed 1 .*shape \(9,\)"),
        ({"get_simulation": lambda s: SMALL[s] if s < 3 else s}, ValueError, "seed 3 must be like"),
        ({"get_simulation": lambda s: 0 / (s - 4)}, RuntimeError, "seed 4 .*ZeroDivisionError"),
        ({"get_simulation": lambda s: SMALL[s] / (s != 5)}, ValueError, "seed 5 .*finite"),
        ({"get_simulation": lambda s: None}, ValueError, "seed 0 .*nothing"),
        ({"get_simulation": lambda s: "text"}, TypeError, "seed 0 .*real numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_set_that_fails_leaves_files_as_they_were(tmp_path, monkeypatch, arguments, error, words):
    monkeypatch.chdir(tmp_path)
    write(None, SMALL[:3], record_size=1e-6)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    good = {"n_sims": 30, "get_simulation": lambda seed: SMALL[seed]}
    with pytest.raises(error, match=words):
        TFRecords(1e-6, verbose=False).write_record(**good | arguments)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_bad_settings_of_the_writer_are_refused():
    for record_size in (0, -1, np.nan):
        with pytest.raises(ValueError, match="`record_size`"):
            TFRecords(record_size)
    with pytest.raises(TypeError, match="`padding`"):
        TFRecords(padding=1.5)
    with pytest.raises(TypeError, match="`verbose`"):
        TFRecords(verbose=None)


def test_files_of_an_earlier_set_are_noticed(tmp_path):
    write(tmp_path, record_size=0.001)
    with pytest.warns(UserWarning, match="is of an earlier set"):
        files = write(tmp_path, SMALL + 1)
    np.testing.assert_array_equal(read(files), SMALL + 1)
    with pytest.raises(ValueError, match="duplicated"):
        read(sorted(tmp_path.glob("fiducial_*.tfrecords")))


def test_missing_duplicate_and_surplus_simulations_are_counted(tmp_path):
    files = write(tmp_path, record_size=0.001)
    with pytest.raises(ValueError, match=r"`fiducial` must hold .*2 missing \(seed 30; seed 31\)"):
        read(files, 32)
    with pytest.raises(ValueError, match=r"Received 2 not in this range \(seed 28 in '.*_00"):
        read(files, 28)
    with pytest.raises(ValueError, match=r"Received 30 duplicated \(seed 0 in '.*00000"):
        read([*files, *files])
    with pytest.raises(ValueError, match=r"missing .*; … |missing .*, …"):
        read(files[1:])
    other = write(tmp_path, DERIVATIVE[:5])
    with pytest.raises(ValueError, match=r"4 missing \(seed 5, derivative 0, parameter 0;"):
        read(other, 6, 2)
    with pytest.raises(ValueError, match="10 not in this range"):
        read(other, 5, 1)


DAMAGE = {
    "truncated": lambda content: content[:-5],
    "cut in a header": lambda content: content + content[:5],
    "corrupt": lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
    "text": lambda content: b"these are not simulations but words",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named(tmp_path, damage):
    files = write(tmp_path, record_size=0.001)
    path = Path(files[1])
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=r"file '.*_00001.tfrecords' must be a whole TFRecord"):
        read(files)


def test_an_empty_file_lacks_its_simulations(tmp_path):
    files = write(tmp_path, record_size=0.001)
    Path(files[0]).write_bytes(b"")
    with pytest.raises(ValueError, match=r"missing \(seed 0; seed 1"):
        read(files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": bytes_of([b"12345"])}, r"hold 10 values of float32.*5 bytes, not 40"),
        ({"dtype": bytes_of([b"complex64"])}, "have a dtype of .*'complex64'"),
        ({"dtype": bytes_of([b"float64"])}, "hold 10 values of float64.*40 bytes, not 80"),
        ({"data": integers(1)}, "not one value of the right type"),
        ({"seed": bytes_of([b"0"])}, "not one value of the right type"),
        ({"seed": None}, r"hold the features \['data', 'seed'\].*Received \['data'\]"),
        ({"derivative": integers(0)}, "hold the features"),
        ({"shape": integers(5, 2)}, r"seed 0 in '.*' must have .*\(10,\). Received shape \(5, 2\)"),
        ({"shape": integers(9)}, "hold 9 values"),
    ],
)
def test_an_example_with_wrong_features_is_refused(tmp_path, change, words):
    example = next(plain_examples(SMALL)) | change
    example = {name: feature for name, feature in example.items() if feature is not None}
    file = write_examples(tmp_path / "bad.tfrecords", [example])
    with pytest.raises(ValueError, match=words) as caught:
        read([file])
    assert "bad.tfrecords" in str(caught.value)


def test_shapes_are_not_checked_on_request(tmp_path):
    images = SMALL.reshape(30, 5, 2)
    files = TFRecords(verbose=False).write_record(30, lambda s: images[s], directory=tmp_path)
    with pytest.raises(ValueError, match=r"seed 0 in '.*' must have shape"):
        read(files)
    np.testing.assert_array_equal(read(files, check_shape=False), SMALL)


def test_bytes_that_are_not_an_example_are_rejected(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "bad.tfrecords")) as writer:
        writer.write(b"\xff\xff\xff")
    with pytest.raises(ValueError, match=r"bad.tfrecords.* not a tf.train.Example"):
        read([tmp_path / "bad.tfrecords"])


def test_a_non_finite_simulation_in_a_file_is_named(tmp_path):
    array = SMALL.copy()
    array[4, 2] = np.inf
    file = write_examples(tmp_path / "bad.tfrecords", plain_examples(array))
    with pytest.raises(ValueError, match=r"seed 4 in '.*bad.tfrecords' must .*index \(2,\)"):
        read([file])


def test_names_of_missing_files_are_rejected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`fiducial` must be a file .*lost.tfrecords"):
        plain_imnn(fiducial=["lost.tfrecords"])
    with pytest.raises(FileNotFoundError, match="`validation_derivative`"):
        plain_imnn(validation_derivative=tmp_path)
    with pytest.raises(TypeError, match="`fiducial` must be a non-empty string"):
        plain_imnn(fiducial=["a.tfrecords", None])


def test_file_names_are_told_from_data():
    names = ["a", Path("a"), ["a", "b"], (Path("a"),), np.array(["a"])]
    others = [None, 1.0, [], [1.0], np.zeros(2), np.array([], dtype=str), [["a"]], len]
    assert all(map(records.are_files, names))
    assert not any(map(records.are_files, others))


def test_a_set_is_written_as_a_campaign_gives_it(tmp_path):
    files = TFRecords(verbose=False).write_set(FIDUCIAL, DERIVATIVE, tmp_path)
    np.testing.assert_array_equal(read(files[0], len(FIDUCIAL)), FIDUCIAL)
    np.testing.assert_array_equal(read(files[1], len(DERIVATIVE), 2), DERIVATIVE)
    exact = TFRecords(verbose=False).write_set(FIDUCIAL, DERIVATIVE[:, 0], tmp_path, True)
    assert [Path(file).name for file in exact[1]] == ["validation_derivative_00000.tfrecords"]
    with pytest.raises(
        ValueError, match=r"\(n_d, 2, n_params\) or \(n_d, n_params\) \+ input_shape. Received"
    ):
        TFRecords(verbose=False).write_set(FIDUCIAL, DERIVATIVE[:, :1], tmp_path)
