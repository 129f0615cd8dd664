"""From runs to image files: which runs share a line, the layout of panels, legend, caption, and rendering."""
