"""What the commands and the server do beside serving."""
