"""One module a page: which rows it shows, and which charts. The words are in templates."""
