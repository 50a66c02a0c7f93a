"""What all tests share: where the reference data is, and one thread for torch."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# Read by torch when it is loaded, here and in processes that tests start. With more threads than free cores,
# threads that wait for each other make small networks twenty times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A run in the background of a shell ignores Ctrl-C, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines are shared: how long an example takes says nothing about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

REFERENCE = os.environ.get("FEATHERFACE_REFERENCE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what compares with reference data when nobody says where that is."""
    if REFERENCE:
        return
    skip = pytest.mark.skip(reason="FEATHERFACE_REFERENCE does not name the folder with the golden values")
    for item in items:
        if item.get_closest_marker("reference"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with golden values and public weights; for tests marked ``reference`` only."""
    assert REFERENCE, "a test that uses the reference folder must carry @pytest.mark.reference"
    return Path(REFERENCE)
