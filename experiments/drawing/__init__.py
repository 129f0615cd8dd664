"""The parts that all figures draw with: a panel and its record, lines, maps, colours, and the style."""
