"""A lab's profile out of its head's curriculum vitae.

In: a text in Chinese or English. Out: a draft of the lab: head, school, summary, keywords, languages, ORCID iD, and
publications, patents and projects as evidence, each with the words it was taken from. It exists because every
researcher has such a list, and none likes to type it again.
"""

from __future__ import annotations

import re

from indexer.records.values import FieldError, doi, orcid
from indexer.sources.drafts.passages import Draft, Labelled, Labels, Line, Passage, lines_of, matches_of, without_bullet
from indexer.vocabulary import LANGUAGE_WORDS, EvidenceKind
from indexer.wording import T_

_LABELS = Labels(
    {
        "pi": "姓名|中文姓名|主持人|計畫主持人|負責人|name|full name|principal investigator",
        "pi_en": "英文姓名|english name",
        "lab": "實驗室|實驗室名稱|研究室|laboratory|lab|group",
        "school": "學校|服務單位|任職單位|服務機關|現職單位|服務學校|現職|affiliation|institution|"
        "university|current position|"
        "department",
        "position": "職稱|現任職稱|職位|position|title",
        "keywords": "專長|研究專長|專長領域|研究領域|研究興趣|關鍵字|關鍵詞|keywords|research interests|"
        "expertise|research areas|"
        "specialties|fields of research",
        "summary": "簡介|個人簡介|研究簡介|研究概述|實驗室簡介|about|profile|summary|research summary|"
        "biography|research statement",
        "languages": "語言|語文能力|languages",
        "paper": "著作|期刊論文|論文|論文著作|學術著作|代表著作|代表論文|近五年著作|近年著作|研討會論文|"
        "會議論文|專書|publications|"
        "selected publications|papers|journal papers|journal articles|conference papers|selected papers",
        "patent": "專利|專利清單|發明專利|patents",
        "project": "計畫|研究計畫|執行計畫|主持計畫|產學計畫|產學合作計畫|projects|research projects|grants|funding",
        "technology": "技術移轉|技轉|研發成果|technologies|software",
        "thesis": "指導學位論文|學位論文|theses|supervised theses",
        "end": "學歷|經歷|教育背景|榮譽|獲獎|教學|課程|服務|參考|聯絡方式|電話|電子郵件|email|education|"
        "experience|employment|honors|"
        "honours|awards|teaching|service|references|contact|phone|address",
    },
    prose=("summary", "paper", "patent", "project", "technology", "thesis", "end"),
)
_SCHOOL = re.compile(
    r"[\u3400-\u9fff]{2,14}(?:大學|學院)|(?:National |University of |[A-Z][\w'-]+ ){1,5}(?:University|"
    r"Institute)(?: of [A-Z][\w&]+"
    r"(?: (?:and )?[A-Z][\w&]+)*)?|University of [A-Z][\w-]+"
)
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dXx]")
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:?\s*)?(10\.\d{4,9}/[^\s,;，；]+)", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)|民國\s*(\d{2,3})\s*年?|(?<!\d)(1[01]\d|[89]\d)\s*年")
_QUOTED = re.compile(r"[\"“”「『《〈]([^\"“”「」『』《》〈〉]{6,400})[\"“”」』》〉]")
_AFTER_YEAR = re.compile(r"\((?:19|20)\d\d[a-z]?\)[.,:]?\s+([^.]{8,400})\.")
_HEADING = re.compile(
    r"^(?:個人)?(?:履歷|簡歷|履歷表|學術履歷)$|^(?:curriculum vitae|cv|resume|résumé)$", re.IGNORECASE
)
_NAME = re.compile(r"[\u3400-\u9fff]{2,4}|[A-Z][a-z'-]+(?: [A-Z][a-z'-]+| [A-Z]\.){1,3}")
_RANK = re.compile(
    r"(?:特聘|講座|名譽|副|助理|客座)?教授|(?:副|助理)?研究員|講師|(?:Distinguished |Associate |Assistant |"
    r"Full |Chair )?Professor|"
    r"Lecturer|Research Fellow"
)
_WORKS = {kind.value: kind for kind in EvidenceKind}
_MAX_WORKS = 500


def draft_lab(text: str) -> Draft:
    """Return the draft of a lab."""
    draft = Draft(text)
    lines = lines_of(text)
    parts = _LABELS.found(lines)
    _person(draft, lines, parts)
    _place(draft, parts)
    _words(draft, parts)
    number = next(matches_of(_ORCID, text), None)
    if number is not None:
        try:
            draft.take("orcid", orcid(number[0]), number[1])
        except FieldError:
            draft.notes.append(T_("the ORCID iD has a wrong check digit"))
    _works(draft, parts)
    return draft


def _first(parts: list[Labelled], *names: str) -> Labelled | None:
    return next((part for name in names for part in parts if part.name == name and part.text), None)


def _person(draft: Draft, lines: list[Line], parts: list[Labelled]) -> None:
    said = _first(parts, "pi")
    if said is not None:
        draft.take("pi", said.lines[0].text.strip(), said.lines[0].passage)
    else:
        for line in [one for one in lines if one.text.strip()][:6]:
            words = line.text.strip()
            found = None if _HEADING.match(words) else _NAME.match(words)
            if found is not None and not _SCHOOL.fullmatch(words) and not _RANK.match(words):
                place = Passage(line.passage.start, line.passage.start + found.end())
                draft.take("pi", found[0], place)
                break
    english = _first(parts, "pi_en")
    lab = _first(parts, "lab")
    if lab is not None:
        draft.take("name", lab.lines[0].text.strip(), lab.lines[0].passage)
    head = draft.values().get("pi")
    if lab is None and head is not None:
        draft.notes.append(T_("no lab is named; the draft is called by its head"))
        draft.take("name", head, next(one for one in draft.fields if one.name == "pi").passages[0])
    if english is not None:
        draft.take("name_en", english.lines[0].text.strip(), english.lines[0].passage)


def _place(draft: Draft, parts: list[Labelled]) -> None:
    said = _first(parts, "school")
    within = said.passage if said is not None else Passage(0, len(draft.text))
    found = next(matches_of(_SCHOOL, within.of(draft.text)), None)
    if found is not None:
        place = Passage(within.start + found[1].start, within.start + found[1].end)
        draft.take("school", found[0].strip(), place)
    elif said is not None:
        draft.take("school", said.lines[0].text.strip(), said.lines[0].passage)
    rank = _first(parts, "position")
    title = next(matches_of(_RANK, draft.text), None)
    if rank is not None:
        draft.take("position", rank.lines[0].text.strip(), rank.lines[0].passage)
    elif title is not None:
        draft.take("position", *title)


def _words(draft: Draft, parts: list[Labelled]) -> None:
    keywords = [part for part in parts if part.name == "keywords" and part.text]
    words: dict[str, None] = {}
    for part in keywords:
        for line in part.lines:
            bare = without_bullet(line) or line
            words.update(dict.fromkeys(one.strip(" .。") for one in re.split(r"[、,，;；]", bare.text)))
    draft.take(
        "keywords", [word for word in words if word and len(word) <= 100][:50], *(one.passage for one in keywords)
    )
    said = _first(parts, "summary")
    if said is not None:
        latin = sum(c.isascii() and c.isalpha() for c in said.text) > len(said.text) / 2
        draft.take("summary_en" if latin else "summary", said.text, said.passage)
    spoken = _first(parts, "languages")
    if spoken is not None:
        codes = {
            code: None
            for word, code in LANGUAGE_WORDS.items()
            if re.search(re.escape(word), spoken.text, re.IGNORECASE)
        }
        draft.take("languages", list(codes), spoken.passage)


def _works(draft: Draft, parts: list[Labelled]) -> None:
    works: list[dict[str, object]] = []
    places: list[Passage] = []
    unread = 0
    for part in parts:
        if part.name not in _WORKS:
            continue
        for entry in _entries(part):
            work = _work(_WORKS[part.name], entry.of(draft.text))
            if work is None:
                unread += 1
            elif len(works) < _MAX_WORKS:
                works.append(work)
                places.append(entry)
    draft.take("evidence", works, *places)
    if unread:
        draft.notes.append(T_("%(n)s lines among the works say too little to be one", n=unread))


def _entries(part: Labelled) -> list[Passage]:
    """Return the places of the entries of a list: one a bullet with the lines after it, or one a line."""
    said = [line for line in part.lines if line.text.strip()]
    if sum(without_bullet(line) is not None for line in said) < 2:
        return [(without_bullet(line) or line).passage for line in said]
    found: list[Passage] = []
    for line in said:
        bare = without_bullet(line)
        if bare is not None:
            found.append(bare.passage)
        elif found:
            found[-1] = Passage(found[-1].start, line.passage.end)
        else:
            found.append(line.passage)
    return found


def _work(kind: EvidenceKind, words: str) -> dict[str, object] | None:
    words = " ".join(words.split())
    years = [int(one[1] or 0) or int(one[2] or one[3]) + 1911 for one in _YEAR.finditer(_DOI.sub(" ", words))]
    title = _QUOTED.search(words) or _AFTER_YEAR.search(words)
    said = title[1].strip(" ,.，。") if title else _DOI.sub("", words).strip(" ,.，。")
    if len(said) < 4:
        return None
    number = _DOI.search(words)
    work: dict[str, object] = {"kind": kind.value, "title": said}
    if years:
        work["year"] = years[0]
    try:
        if number is not None:
            work["doi"] = doi(number[1].rstrip("."))
    except FieldError:
        return work
    return work
