"""What the processes of a Ray cluster, and of those who read from a store, are started with in tests."""

from __future__ import annotations

RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # else a token in somebody's home decides
    "RAY_AUTH_MODE": "disabled",
    # Others may use the machine too: workers are no less important than they, and may start slowly.
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "300",
}


def store_settings(address: str) -> dict[str, str]:
    """For an S3 server of moto at this address; it takes any key."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
