"""Results on stdout, in the format that was asked for."""

from __future__ import annotations

import csv
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ffcore.detection.job import Found
from ffcore.errors import ConfigError
from ffcore.results import CSV_HEADER, ImageFaces, coco_document, csv_rows, json_record


class Printer(ABC):
    """Takes results one by one and prints them, at once or at the end."""

    prints = True
    """Whether anything goes to stdout."""

    @abstractmethod
    def add(self, found: Found) -> None:
        """Takes one result."""

    def close(self) -> None:  # noqa: B027  # most have nothing left to print
        """Prints what has waited for the end."""


class NoPrinter(Printer):
    """Prints nothing: the summary table is the result."""

    prints = False

    def add(self, found: Found) -> None:  # noqa: D102
        pass


class JsonPrinter(Printer):
    """One list, written record by record so that a long job keeps nothing in memory."""

    def __init__(self) -> None:
        self._opened = False

    def add(self, found: Found) -> None:  # noqa: D102
        sys.stdout.write(",\n" if self._opened else "[\n")
        sys.stdout.write(json.dumps(record(found), ensure_ascii=False))
        self._opened = True

    def close(self) -> None:  # noqa: D102
        sys.stdout.write("\n]\n" if self._opened else "[]\n")


class JsonLinesPrinter(Printer):
    """One record a line, each as soon as it is known."""

    def add(self, found: Found) -> None:  # noqa: D102
        sys.stdout.write(json.dumps(record(found), ensure_ascii=False) + "\n")
        sys.stdout.flush()


class CsvPrinter(Printer):
    """A header, then one line a face."""

    def __init__(self) -> None:
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(CSV_HEADER)

    def add(self, found: Found) -> None:  # noqa: D102
        self._writer.writerows(csv_rows([found.result]))


class CocoPrinter(Printer):
    """One document, at the end."""

    def __init__(self) -> None:
        self._results: list[ImageFaces] = []

    def add(self, found: Found) -> None:  # noqa: D102
        self._results.append(found.result)

    def close(self) -> None:  # noqa: D102
        sys.stdout.write(json.dumps(coco_document(self._results), ensure_ascii=False) + "\n")


def printer(*, as_json: bool, jsonl: bool, csv: bool, coco: bool) -> Printer:
    """The printer of the one format that was asked for.

    Raises:
        ConfigError: Two formats would both go to stdout.
    """
    wanted = {"--json": as_json, "--jsonl": jsonl, "--csv": csv, "--coco": coco}
    chosen = [name for name, on in wanted.items() if on]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} would both be printed; choose one")
    if not chosen:
        return NoPrinter()
    formats: dict[str, Callable[[], Printer]] = {
        "--json": JsonPrinter,
        "--jsonl": JsonLinesPrinter,
        "--csv": CsvPrinter,
        "--coco": CocoPrinter,
    }
    return formats[chosen[0]]()


def record(found: Found) -> dict[str, Any]:
    """One result as plain values, with the moment where it is a frame of a video."""
    values = json_record(found.result)
    if found.frame is not None:
        values["frame"] = found.frame
        values["time"] = round(found.time or 0.0, 6)
    return values
