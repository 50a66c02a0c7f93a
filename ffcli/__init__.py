"""The commands of FeatherFace."""
