"""What is drawn: one style for all."""
