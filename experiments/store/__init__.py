"""Everything that lies on the disk: the CSV and JSON files of runs, studies, plans and locks."""
