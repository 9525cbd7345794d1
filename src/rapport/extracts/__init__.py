"""Research extracts: request, de-identification, risk, approval, package (privacy.md C, D)."""
