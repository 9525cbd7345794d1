"""The pages and the digest, as files and as a browser shows them."""
