"""HTML pages that need no other file: the report of studies, and the page of claims."""
