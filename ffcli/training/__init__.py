"""What `train` and `distill` share: settings, sessions, and what a person sees."""
