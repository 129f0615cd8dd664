"""HTML pages that need nothing but themselves: their templates, and figures within them."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape


def render_page(template: str, **values: Any) -> str:
    """Fill in a template, which extends page.html.j2."""
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
    """A key or column, such as gain_per_timestep, that may be broken between its words."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name))))


def inline(svg: str, name: str, title: str) -> str:
    """The svg element alone, described for those who cannot see it, its ids apart from those of other figures."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'(?<= d=)"[^"]*"|(?<= [xy]=)"[^"]*"', lambda places: _to_hundredths(places[0]), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}: {title}" ', 1)


def _to_hundredths(places: str) -> str:
    """Coordinates in hundredths of a point: finer cannot be seen, and takes twice the space."""
    return re.sub(r"(\.\d\d)\d+", r"\1", places)
