"""HTML as nested calls; whatever is not HTML already is escaped."""

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

VOID = {"img", "meta"}  # elements without an end


class Html(str):
    """Text that is HTML already."""


def tag(name: str, /, *content: Any, **attributes: Any) -> Html:
    """An element with its content: text, numbers, other elements, and lists of them.

    Args:
        name: such as "p".
        content: None is left out, everything but ``Html`` is escaped.
        attributes: an underscore stands for a hyphen, one at the end is dropped (``class_``); None
            and False leave the attribute out, True gives it no value.

    Example:
        >>> tag("p", "a < b", tag("b", 1), class_="x", hidden=True, title=None)
        '<p class="x" hidden>a &lt; b<b>1</b></p>'
        >>> tag("img", alt='"><script>')
        '<img alt="&quot;&gt;&lt;script&gt;">'
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def joined(content: Any) -> Html:
    """What :func:`tag` takes as its content, as HTML.

    Example:
        >>> joined(["<", None, [tag("i", "x"), 2]])
        '&lt;<i>x</i>2'
    """
    if content is None:
        return Html()
    if isinstance(content, Html):
        return content
    if isinstance(content, Iterable) and not isinstance(content, str):
        return Html("".join(map(joined, content)))
    return Html(html.escape(printable(str(content))))


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(printable(str(value)))}"'


def printable(text: str) -> str:
    r"""Text without what cannot be encoded or printed, such as file names that are not UTF-8.

    Example:
        >>> print(printable("a\0b \udcff"))
        a�b \udcff
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join("�" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)


def table(
    caption: str, header: Iterable[Any], rows: Iterable[Iterable[Any]], numbers: bool = False
) -> Html:
    """A table whose first column names its rows; wide ones scroll by themselves.

    Args:
        caption: what it shows.
        header: the columns.
        rows: cells; all but the first are aligned to the right with ``numbers``.
    """
    body = [
        tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in rest])
        for first, *rest in rows
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", [tag("th", name, scope="col") for name in header])),
            tag("tbody", body),
            class_="numbers" if numbers else None,
        ),
        class_="wide",
        role="region",
        tabindex=0,
        aria_label=caption,
    )


def details(summary: str, *content: Any) -> Html:
    """Content that is folded until asked for."""
    return tag("details", tag("summary", summary), *content)


def name_of(text: str) -> str:
    """A name for links within the page.

    Example:
        >>> name_of("Warnings and diagnosis")
        'warnings-and-diagnosis'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
