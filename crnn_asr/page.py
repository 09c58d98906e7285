"""Pages that need nothing but themselves: no script, nothing from elsewhere, in light and in dark.

A page is built as a tree of elements, so every text and attribute is escaped where it is written out.
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

BASE_STYLE = """
:root { color-scheme: light dark; --back: #fff; --card: #f5f6f8; --line: #d4d8df; --text: #1c1e21; --dim: #666c75;
  --sub: #8a4b00; --sub-back: #ffe9c7; --del: #a51d24; --del-back: #fddcdc; --ins: #1d4fa5; --ins-back: #dce8fd; }
@media (prefers-color-scheme: dark) { :root { --back: #16181c; --card: #202329; --line: #3a3f48; --text: #e6e8eb;
  --dim: #9aa1ab; --sub: #ffc46b; --sub-back: #4a3512; --del: #ff9a9e; --del-back: #4d1d20; --ins: #9cc2ff;
  --ins-back: #1b3157; } }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; border-bottom: 1px solid var(--line); }
.title { margin: 0; color: var(--dim); overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: start; font-weight: 600; padding: .3rem 0; white-space: nowrap; }
th, td { padding: .15rem 1.2rem .15rem 0; text-align: start; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 400; }
td:last-child { white-space: nowrap; }
td bdi { overflow-wrap: anywhere; }
.tables { display: flex; flex-wrap: wrap; gap: .5rem 3rem; align-items: start; }
img { width: 100%; max-width: 55rem; margin-top: .5rem; background: #fff; border-radius: 6px; }
"""


def render(title: str, style: str, body: Element) -> str:
    """The whole page."""
    head = element("head", element("meta", charset="utf-8"), element("title", title))
    head.append(element("meta", name="viewport", content="width=device-width, initial-scale=1"))
    head.append(element("style", style))
    page = element("html", head, body, lang="en")
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def element(tag: str, *children: str | Element, **attributes: str) -> Element:
    """An element with texts and elements in it; a trailing underscore of an attribute's name is dropped."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def table(head: Sequence[str], rows: Iterable[Sequence[str | Element]], caption: str = "") -> Element:
    """A table whose first column names the row; all others are numbers or short texts."""
    made = element("table", *([element("caption", caption)] if caption else []))
    made.append(element("thead", element("tr", *(element("th", name, scope="col") for name in head))))
    lines = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    made.append(element("tbody", *lines))
    return made
