"""From runs to image files: which runs share a line, labels, layout, rendering."""
