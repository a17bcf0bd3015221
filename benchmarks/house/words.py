"""Words of a page, as a reader counts them."""

import re

_LEFT_OUT = (r"(?ms)^```.*?^```$", r"(?s)<!--.*?-->", r"\]\([^)]*\)", r"(?m)^\|[-| :]+\|$")


def words(markdown: str) -> int:
    """How many words a page has: no code blocks, no addresses, no markup."""
    for pattern in _LEFT_OUT:
        markdown = re.sub(pattern, " ", markdown)
    return len(re.findall(r"\w[\w'.-]*", markdown))
