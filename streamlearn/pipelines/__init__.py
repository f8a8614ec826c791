"""The built-in pipelines, one module each."""
