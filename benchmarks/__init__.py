"""What is measured beside others."""
