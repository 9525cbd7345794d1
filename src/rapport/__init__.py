"""rapport: the working alliance, measured nightly."""
