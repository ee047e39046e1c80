"""Jobs: one file per verb; where the rooms meet."""
