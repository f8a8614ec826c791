"""Which series leads which, and by how many steps."""
