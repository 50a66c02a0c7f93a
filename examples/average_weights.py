"""Put several trainings of one network together: the mean of their weights, which costs nothing when it runs.

    python examples/average_weights.py A.safetensors B.safetensors --shares 0.5 0.5 --out mean.safetensors

All must have gone on from the same weights. Measure the mean (`featherface eval-widerface`) before you
use it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ffcore import average_networks, load_network, save_network


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Average the weights of several trainings.")
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--shares", type=float, nargs="+", help="what each counts; all alike if left out")
    parser.add_argument("--out", type=Path, default=Path("mean.safetensors"))
    options = parser.parse_args()

    mean = average_networks([load_network(path) for path in options.weights], options.shares)
    shares = options.shares or [1 / len(options.weights)] * len(options.weights)
    parts = [f"{share:g} {path.name}" for share, path in zip(shares, options.weights, strict=True)]
    save_network(mean, options.out, facts={"mean_of": ", ".join(parts)})
    print(f"{options.out}: {' + '.join(parts)}")


if __name__ == "__main__":
    main()
