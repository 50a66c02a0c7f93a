"""When the network itself began and ended, inside a run of a detector's backend."""

from __future__ import annotations

import time
from typing import Any

from ffcore.detection.backend import Backend


class NetworkStopwatch:
    """Notes when a backend's network begins and ends; what lies around it in a run is not the network.

    It changes the backend it is given: every later run is noted. What is timed is the session or the module
    that detects, not a copy of it with settings that could drift apart.

    Args:
        backend: Of ONNX Runtime or torch.
    """

    def __init__(self, backend: Backend) -> None:
        self.began = self.ended = 0.0
        inner: Any = backend  # both keep what they run to themselves, and nobody else needs it
        if backend.name == "onnxruntime":
            inner._session = _TimedSession(inner._session, self)
        else:
            self._watch_module(inner._network, inner._device)

    @property
    def seconds(self) -> float:
        """Of the last run."""
        return self.ended - self.began

    def _watch_module(self, module: Any, device: Any) -> None:
        import torch

        def synchronize() -> None:
            # A GPU works on after the call has returned.
            if device.type != "cpu":
                getattr(torch, device.type).synchronize()

        def before(*_: Any) -> None:
            synchronize()
            self.began = time.perf_counter()

        def after(*_: Any) -> None:
            synchronize()
            self.ended = time.perf_counter()

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)


class _TimedSession:
    """A session of ONNX Runtime whose runs are noted."""

    def __init__(self, session: Any, watch: NetworkStopwatch) -> None:
        self._session = session
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *arguments: Any) -> Any:
        """As the session's."""
        self._watch.began = time.perf_counter()
        outputs = self._session.run(*arguments)
        self._watch.ended = time.perf_counter()
        return outputs
