"""Learning from a teacher: its outputs and features beside the labels."""
