"""The data that the producer replays: where each set comes from, its fields and its units."""
