"""Peak memory of training from TFRecord files of 200 MB and of 2 GB, read in every iteration.

    python tests/benchmarks/streaming_memory.py

Asked: 300 MB of difference at most. Each size runs in a process of its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

LENGTH = 2500  # values of float32 in a simulation: 10 kB
SIZES = {"200 MB": 20_000, "2 GB": 200_000}


def train(n, place):
    from imnn_lab import IMNN, TFRecords, networks

    n_s = n // 3

    def simulation(seed, side=1, parameter=0):
        noise = np.random.default_rng(seed).standard_normal(LENGTH, np.float32)
        return noise + np.float32(0.05 * (side - 0.5))

    writer = TFRecords(verbose=False)
    files = writer.write_record(n_s, lambda seed: simulation(seed, 0.5), directory=place)
    others = writer.write_record(n_s, simulation, fiducial=False, n_params=1, directory=place)
    started = time.perf_counter()
    imnn = IMNN(
        n_s, n_s, 1, 1, [0.0], [0.05], (LENGTH,), files, others, cache=None, verbose=False,
        model=networks.dense((LENGTH,), 1, hidden=(16,), seed=1),
    )  # fmt: skip
    built = time.perf_counter()
    imnn.fit(1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"peak": peak, "build": built - started, "fit": time.perf_counter() - built}


def main():
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(train(int(sys.argv[1]), place)))
        return
    peaks = []
    for name, n in SIZES.items():
        command = [sys.executable, __file__, str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        peaks.append(found["peak"])
        print(f"{name}: peak {found['peak']:.0f} MB, built in {found['build']:.0f} s, "
              f"two iterations in {found['fit']:.0f} s")  # fmt: skip
    print(f"difference {peaks[1] - peaks[0]:.0f} MB; asked at most 300 MB")


if __name__ == "__main__":
    main()
