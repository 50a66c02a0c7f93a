"""The public weights that tests go through."""

from __future__ import annotations

import os

PUBLIC = (
    ("v1_public.pth", "v1_original_public.pth", "v2_ca_public.pth")
    if os.environ.get("FEATHERFACE_ALL_WEIGHTS")
    else ("v1_public.pth",)
)
"""Their files; with ``FEATHERFACE_ALL_WEIGHTS=1`` all three, which takes minutes more."""
