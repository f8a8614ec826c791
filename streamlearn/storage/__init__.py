"""Model versions: their bytes, and where they are kept."""
