from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.documents import DOCUMENTS, ROOT

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


PAGES = (*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / "examples" / "photos" / "CREDITS.md")


def test_a_heading_has_the_name_that_a_link_uses() -> None:
    text = "# One\n\n## The `--jpeg` form, and *why*\n\n```\n# no heading\n```\n\n## One\n\n# One\n"
    assert _anchors(text) == {"one", "the---jpeg-form-and-why", "one-1", "one-2"}
    assert list(_links("[a](b.md#c) `[no](link)` [d](https://e.f)")) == ["b.md#c"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in _links(text):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link}: there is no such file"
        assert ROOT in target.resolve().parents, f"{link}: leaves the repository"
        if anchor:
            assert anchor in _anchors(target.read_text("utf-8")), f"{link}: there is no such heading"


def _links(text: str) -> Iterator[str]:
    """Targets of the links that are no addresses of the web."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", text))
    for match in _LINK.finditer(prose):
        if not re.match(r"[a-z]+:", match[1]):
            yield match[1]


def _anchors(text: str) -> set[str]:
    """Names of the headings as GitHub makes them: no capitals, no punctuation, numbered where one recurs."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        names.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return names
