"""Parts of training that are decided by numbers alone: learning rates, when to stop."""
