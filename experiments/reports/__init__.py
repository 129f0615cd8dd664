"""Self-contained HTML pages: the report of studies, and the page of claims."""
