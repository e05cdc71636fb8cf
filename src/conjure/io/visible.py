"""Text of users where it is shown: what steers terminals or is not seen is made visible."""

from __future__ import annotations

import html
import re
import sys

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, among them those of terminals; not tab and line end
    "\u2028-\u202e\u2066-\u2069"  # line ends that are none, and what turns the order of letters
    "\ud800-\udfff\ufffe\uffff"  # no characters, which neither a font nor XML can have
    "]"
)


def visible(text: str) -> str:
    r"""The text with control characters as JSON writes them; tabs and line ends stay.

    In a line of JSON they may only stand within strings: it stays the same JSON.

    >>> visible("\x1b[2Jcat\u202e"), visible("una niña\t😀\n") == "una niña\t😀\n"
    ('\\u001b[2Jcat\\u202e', True)
    """
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_html(text: str) -> str:
    r"""The text within a page or between quotation marks of its attributes.

    >>> as_html('<b>cat & "dog"\x1b')
    '&lt;b&gt;cat &amp; &quot;dog&quot;\\u001b'
    """
    return html.escape(visible(text))


class DataOutput:
    """Standard output for data: unchanged in a file or a pipe, visible on a terminal."""

    def write(self, text: str) -> int:
        return sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
