"""The command line: ``imnn-lab demo | serve | --help | --version``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

import imnn_lab
from imnn_lab import quiet, serving

PROBLEMS = {
    "nile": "the annual flow of the Nile 1871-1970, a real observation",
    "gaussian": "mean and variance of ten Gaussian values",
    "slope": "slope of a line in noise",
    "field": "power spectrum of a 16 x 16 Gaussian field",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parsed = _parser().parse_args(arguments)
    if parsed.command is None:
        _parser().print_help()
        return 0
    if parsed.command == "serve":
        with contextlib.suppress(KeyboardInterrupt):
            serving.serve(parsed)
        return 0
    return _demo(parsed)


def _demo(parsed: argparse.Namespace) -> int:
    quiet.import_tensorflow()
    from imnn_lab.demo import demo

    try:
        demo(parsed.problem, parsed.output, parsed.seed)
    except KeyboardInterrupt:
        print("Interrupted; nothing is half-written.", file=sys.stderr)
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
        help="train a network on a problem and save what it finds",
        description="Train a network and save it with its history and figures. Problems: "
        + "; ".join(f"{name}: {what}" for name, what in PROBLEMS.items()),
    )
    demo.add_argument("problem", nargs="?", default="nile", choices=list(PROBLEMS))
    demo.add_argument(
        "--output", default="imnn-lab-demo", help="where results go (default: %(default)s)"
    )
    demo.add_argument("--seed", type=int, default=0, help="seed of the simulations and the network")
    serve = commands.add_parser(
        "serve",
        help="serve the laboratory to browsers",
        description="Serve a page that trains networks, infers posteriors and shows results. "
        "Without options only this machine reaches it.",
    )
    serving.add_options(serve)
    return parser


if __name__ == "__main__":
    sys.exit(main())
