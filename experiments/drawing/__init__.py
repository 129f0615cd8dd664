"""What the figures draw with: style, lines, maps, captions."""
