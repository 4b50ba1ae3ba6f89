"""The command line: ``imnn-lab demo | check | inspect | serve | --help | --version``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import imnn_lab
from imnn_lab import tensorflow_import
from imnn_lab.demo import PROBLEMS
from imnn_lab.laboratory import server
from imnn_lab.laboratory.options import directory, whole_number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parsed = _parser().parse_args(arguments)
    if parsed.command is None:
        _parser().print_help()
        return 0
    if parsed.command == "serve":
        with contextlib.suppress(KeyboardInterrupt):
            return server.serve(parsed)
        return 0
    commands = {"check": _check, "inspect": _inspect, "demo": _demo}
    return commands[parsed.command](parsed)


def _check(parsed: argparse.Namespace) -> int:
    """Print the report on a saved IMNN; return 1 if something in it cannot be trusted."""
    from imnn_lab.diagnostics import Light
    from imnn_lab.report import about_saved

    try:
        report = about_saved(Path(parsed.directory))
        print(report)
        if parsed.output is not None:
            print(f"\nThe report with its figures is {report.save(parsed.output)}")
    except (OSError, TypeError, ValueError) as error:
        print(f"imnn-lab check: error: {error}", file=sys.stderr)
        return 2
    return int(report.light is Light.RED)


def _inspect(parsed: argparse.Namespace) -> int:
    """Print what files of simulations hold; return 2 if there is nothing that can be read."""
    from imnn_lab.files.inspection import inspect

    try:
        print(inspect(parsed.paths))
    except (OSError, ValueError) as error:
        print(f"imnn-lab inspect: error: {error}", file=sys.stderr)
        return 2
    return 0


def _demo(parsed: argparse.Namespace) -> int:
    tensorflow_import.import_tensorflow()
    from imnn_lab.demo.report import demo

    try:
        demo(parsed.problem, parsed.output, parsed.seed)
    except KeyboardInterrupt:
        print("Interrupted; no file is incomplete.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imnn-lab",
        description="Information-maximising neural networks: train, watch, steer, infer.",
    )
    parser.add_argument("--version", action="version", version=f"imnn-lab {imnn_lab.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="train a network on a problem and save network, figures and posteriors",
        description="Train a network and save it with its history and figures. Problems: "
        + "; ".join(f"{name}: {words}" for name, words in PROBLEMS.items()),
    )
    demo.add_argument("problem", nargs="?", default="nile", choices=list(PROBLEMS))
    demo.add_argument(
        "--output", type=directory, default="imnn-lab-demo",
        help="directory of the results (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument(
        "--seed", type=whole_number(0, 2**30), default=0,
        help="seed of the simulations and the network",
    )  # fmt: skip
    check = commands.add_parser(
        "check",
        help="say how far the results of a saved network can be trusted",
        description="Say how far the results of a saved network can be trusted. The exit status "
        "is 1 if something cannot, and 2 if it could not be checked.",
    )
    check.add_argument("directory", type=directory, help="where IMNN.save wrote to")
    check.add_argument(
        "--output", metavar="FILE", help="also write the report, with figures: .html or .md"
    )
    inspect = commands.add_parser(
        "inspect",
        help="say what files of simulations hold, and how to pass them to IMNN",
        description="Say what files and directories of simulations hold: formats, shapes, sizes, "
        "missing realisations, sets with the same seeds. It reads names, headers and a few "
        "samples. The exit status is 2 if there is nothing that it can read.",
    )
    inspect.add_argument("paths", nargs="+", metavar="PATH", help="a directory or file")
    serve = commands.add_parser(
        "serve",
        help="serve the laboratory to browsers",
        description="Serve a page that trains networks, infers posteriors and shows results. "
        "By default it listens on this machine only.",
    )
    server.add_options(serve)
    return parser


if __name__ == "__main__":
    sys.exit(main())
