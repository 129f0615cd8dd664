"""Everything on disk: the folders of studies and runs, their CSV and JSON files, plans and locks."""
