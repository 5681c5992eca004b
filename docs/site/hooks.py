"""What mkdocs is told about pages outside of docs/, and about links to files outside of it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
#: Pages of the site that are files of the repository's root.
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
#: What a page may link to outside of docs/: it is copied into the site.
FILES = [
    "CITATION.cff",
    "examples/*.*",
    "examples/ci/*.yml",
    "examples/plugin/**/*.*[!d]",  # its README is for the repository
    "experiments/**/*.*[!d]",  # as above
    "benchmarks/*.csv",
]
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages and files that lie outside of docs/."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    for pattern in FILES:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links of the repository into links of the site."""
    del config, files
    name = page.file.src_uri
    inside = {source: target for target, source in PAGES.items()}
    # Where the page lies in the repository, and what its links are relative to there.
    home = posixpath.dirname(PAGES[name]) if name in PAGES else posixpath.join("docs", posixpath.dirname(name))

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(home, match[1]))
        target = inside.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(target, posixpath.dirname(name) or '.')}{match[2] or ''})"

    return _LINK.sub(rewritten, markdown)
