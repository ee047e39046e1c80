"""What networks are built of: layers, rows of them, and what they tell those who count and watch."""
