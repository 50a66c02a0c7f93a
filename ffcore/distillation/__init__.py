"""Parts of distillation: how much the teacher counts."""
