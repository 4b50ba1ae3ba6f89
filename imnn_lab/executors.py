"""Which executors are taken, and what processes ask for: a simulator that can be sent, no hanging.

An executor has a method `submit` that returns futures, as `concurrent.futures.Executor` has; of a
future only `result` is needed. Thread and process pools, loky, MPI pools and Dask's
``Client.get_executor()`` are such.

`ProcessPoolExecutor._mp_context`
    Nothing public tells how a pool starts its workers (Python 3.11 to 3.14; fork and threads:
    https://github.com/python/cpython/issues/84559). A test in ``tests/unit/test_private_names.py``
    notices an upgrade that changes it.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from typing import Any, Protocol

from imnn_lab import checks


class Executor(Protocol):
    """What is needed of an executor."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function elsewhere, and return a future with its result."""


def as_executor(value: Any) -> Executor | None:
    """Return an executor, or None for None.

    Raises
    ------
    TypeError
        If it has no method `submit`, is a class, or is a Dask client, whose executor is needed.
    """
    has_submit = callable(getattr(value, "submit", None)) and not isinstance(value, type)
    if value is None or (has_submit and not hasattr(value, "get_executor")):
        return value
    remedy = (
        "A Dask client gives one with `client.get_executor()`; instead of multiprocessing.Pool use "
        "concurrent.futures.ProcessPoolExecutor."
    )
    expected = "be a concurrent.futures.Executor, or have its method `submit`, or be None"
    raise TypeError(checks.wording("`executor`", expected, checks.describe(value), remedy))


def submitted(executor: Executor, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the future of a call.

    Raises
    ------
    BrokenExecutor
        If a worker of a pool died.
    RuntimeError
        If the executor takes no work for another reason.
    TypeError
        If `submit` returns anything else than a future.
    """
    try:
        future = executor.submit(function, *arguments)
    except BrokenExecutor:
        raise
    except Exception as error:  # executors raise whatever they like
        remedy = "Is it shut down? Pass another; what was made before is kept."
        words = checks.wording("`executor`", "take work", checks.first_line(error), remedy)
        raise RuntimeError(words) from error
    if not callable(getattr(future, "result", None)):
        expected = "return futures, objects with a method `result`"
        raise TypeError(checks.wording("`executor.submit`", expected, checks.describe(future)))
    return future


def check_can_send(simulator: Callable[..., Any], executor: Executor) -> None:
    """Refuse a simulator that a process pool or Dask cannot send; warn of workers that may hang.

    Raises
    ------
    TypeError
        If it cannot be pickled, or the workers could not find it.
    """
    name, method = type(executor).__name__, start_method(executor)
    try:
        pickled = _dumps(executor)(simulator)
    except Exception as error:  # pickling raises whatever the objects inside do
        received = f"{checks.describe(simulator)}, which cannot be pickled: {error}"
    else:
        if method in ("", "fork") or b"__main__" not in pickled or _main_is_a_file():
            _warn_of_fork(method)
            return
        received = f"{checks.describe(simulator)}, defined in a session that workers do not see"
    remedy = "Define it in a module, and let it hold no open files, locks or lambdas."
    expected = f"be picklable to be sent to the workers of {name}"
    raise TypeError(checks.wording("`simulator`", expected, received, remedy))


def start_method(executor: Executor) -> str:
    """Return how a process pool starts its workers: fork, spawn or forkserver; "" for others."""
    context = getattr(executor, "_mp_context", None)
    return context.get_start_method() if context is not None else ""


def _dumps(executor: Executor) -> Callable[[Any], bytes]:
    """Return how an executor pickles what it sends; those that are not known are left alone."""
    if isinstance(executor, ProcessPoolExecutor):
        return pickle.dumps
    if type(executor).__module__.partition(".")[0] in ("distributed", "loky"):
        return importlib.import_module("cloudpickle").dumps
    return lambda _: b""


def _main_is_a_file() -> bool:
    """Whether workers can import the module that runs, which is how they find its functions."""
    main = sys.modules["__main__"]
    return any(getattr(main, name, None) is not None for name in ("__spec__", "__file__"))


def _warn_of_fork(method: str) -> None:
    if method == "fork" and "tensorflow" in sys.modules:
        checks.warn(
            "The workers of this process pool are forks of a process in which TensorFlow is "
            "loaded, whose locks they copy: they can wait for ever. Spawn them instead: "
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")).'
        )
