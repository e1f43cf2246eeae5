"""Telltale words: made so that nobody writes them by chance, and found however they are encoded.

In: words that were planted. Out: which of them lie in some bytes, as text of any encoding, escaped for JSON or an
address, or in base64 at any offset. It exists because a leak need not look like the text that it gives away.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

STEM, STEM_ZH = "zqxj", "祕封"
"""What every telltale begins with, so that most bytes can be passed over after few looks."""
_BEGINNING = 5
"""So many bytes of each form are looked for first. As all words begin alike, a few dozen beginnings stand for all."""
_SUFFIXES = (
    "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥天地玄黃宇宙洪荒日月盈昃列張寒來暑往秋收冬藏閏餘成歲律呂調陽"
    "雲騰致雨露結為霜金生麗水玉出崑岡"
)


def telltale(name: str, number: int) -> str:
    """Return text to plant: a word of letters and one of Chinese characters, either of which gives it away."""
    return f"{latin(name)}-{chinese(number)}"


def latin(name: str) -> str:
    """Return the word of letters; no part of another, even if its last letters are cut off."""
    return f"{STEM}{name}end"


def chinese(number: int) -> str:
    """Return the Chinese word of a number."""
    return f"{STEM_ZH}{_SUFFIXES[number]}號"


def forms(word: str) -> Iterator[bytes]:
    """Yield the bytes as which a word may lie somewhere."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        yield word.encode(encoding)
    if not word.isascii():
        yield word.encode("big5")
        yield json.dumps(word)[1:-1].encode()
        yield json.dumps(word)[1:-1].upper().replace("\\U", "\\u").encode()
        yield quote(word).encode()
        yield quote(word).lower().encode()
    content = word.encode()
    yield content.hex().encode()
    for offset in range(3):
        # The characters that hang on what stands before and after are cut off.
        coded = base64.b64encode(b"\0" * offset + content)
        first, whole = (0, 2, 3)[offset], (offset + len(content)) // 3 * 4
        yield coded[first:whole]
        yield coded[first:whole].translate(bytes.maketrans(b"+/", b"-_"))


class Search:
    """Finds planted words in bytes."""

    def __init__(self, words: dict[str, Iterable[str]]) -> None:
        """Take for every name the words that give it away."""
        self._forms: dict[bytes, dict[bytes, str]] = {}
        for name, several in words.items():
            for form in (form for word in several for form in forms(word)):
                self._forms.setdefault(form[:_BEGINNING], {})[form] = name

    def found(self, content: bytes) -> set[str]:
        """Return the names of the words that lie in some bytes."""
        met: set[str] = set()
        for beginning, several in self._forms.items():
            if beginning in content:
                met |= {name for form, name in several.items() if form in content}
        return met

    def in_files(self, folder: Path, but_not: str) -> dict[str, set[str]]:
        """Return what lies in the files of a folder, also inside of packed ones, by path; nothing for clean files."""
        met = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith(but_not):
                content = path.read_bytes()
                if zipfile.is_zipfile(io.BytesIO(content)):
                    with zipfile.ZipFile(io.BytesIO(content)) as packed:
                        content += b"".join(packed.read(name) for name in packed.namelist())
                found = self.found(content)
                if found:
                    met[path.relative_to(folder).as_posix()] = found
        return met
