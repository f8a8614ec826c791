"""The command `streamlearn`."""
