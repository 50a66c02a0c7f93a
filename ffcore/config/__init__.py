"""Settings as frozen, validated dataclasses."""

from ffcore.config.network import Attention, NetworkConfig
from ffcore.config.settings import apply_settings

__all__ = ["Attention", "NetworkConfig", "apply_settings"]
