"""Learning: losses, schedules, the training loop, evaluation, checkpoints. Knows no recipes."""
