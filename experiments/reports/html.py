"""Rendering self-contained HTML pages: templates, and SVG figures inside them."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape


def render_page(template: str, **values: Any) -> str:
    """Render a template of this package, which extends page.html.j2.

    Args:
        template: File name of the template.
        values: Values of its variables.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment.get_template(template).render(**values)


def breakable(name: str) -> Markup:
    """Mark where a browser may break a key or column name, such as gain_per_timestep: between its words."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))


def inline(svg: str, name: str, title: str) -> str:
    """Prepare an SVG figure for a page: only its svg element, with a description and ids that no other figure has.

    Args:
        svg: Content of the SVG file.
        name: Name of the figure, which becomes a prefix of its ids.
        title: Description for screen readers.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(?<= d=)"[^"]*"|(?<= [xy]=)"[^"]*"', lambda places: _to_hundredths(places[0]), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}: {title}" ', 1)


def _to_hundredths(places: str) -> str:
    """Cut coordinates to hundredths of a point; finer ones cannot be seen and take twice the space."""
    return re.sub(r"(\.\d\d)\d+", r"\1", places)
