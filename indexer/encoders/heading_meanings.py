"""What a heading means that no table of words knows and that is spelled like none: told by an encoder, as a last step.

In: a kind of record and headings that nobody knows. Out: for some of them the field that they mean; none for the
others. It exists because offices write 應避開之公司 where others write 利益迴避. The encoder is the one that comes with
the product and runs without torch, and it is loaded when the first such heading is met; where it can't be loaded, such
headings stay what they are, columns that are kept beside our fields.

A heading is held against what is usual for each field, and against what stands in the same lists and is no field of
ours (telephones, dates of receipt, lunches): the nearest has to be a field, near, and clearly nearer than all others.
Both limits were chosen on three tables of headings and hold on a fourth (`test_a_heading_is_told_by_its_meaning`). What
identifies a record is never guessed, for a wrong id makes another record, nor a year: every yearly figure looks like
one. That the cells below a heading are such as its field takes is looked at by whoever asks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from indexer.arrays import FloatArray
from indexer.encoders.encoder import Encoder, load_encoder
from indexer.encoders.encoding import EncoderError
from indexer.records.lists.headings import usual_headings
from indexer.settings import Settings
from indexer.vocabulary import Kind

ENCODER = "bundled-use"
LEAST_LIKENESS = 0.65
"""Cosine of a heading and the nearest that is usual for its field."""
LEAST_MARGIN = 0.15
"""By how much the nearest of any other field, and of what is none, has to be farther."""
_NEVER = frozenset({"id", "lab", "tax_id", "orcid", "ror", "doi", "merged_into", "year", "founded"})
_NO_FIELD = ""
_ASKED_AT_ONCE = 200

_PHRASES: dict[Kind, dict[str, str]] = {
    Kind.LABS: {
        "name": "name of the laboratory|research group name|research centre",
        "name_en": "English name of the laboratory",
        "pi": "head of the laboratory|principal investigator|group leader|professor in charge|head of the group",
        "school": "university|name of the institution|which school",
        "summary": "research summary|what the laboratory works on|research interests|areas of expertise|description "
        "of the research",
        "summary_en": "abstract in English",
        "keywords": "keywords|key terms",
        "offers": "services offered|ways of cooperation|what it can provide",
        "will_not_do": "will not do|work that is refused|limits of cooperation",
        "capacity": "number of projects it can take|available capacity|open slots",
        "conflicts": "conflict of interest|companies to avoid",
        "links": "website|home page|web address",
        "languages": "working languages|languages spoken",
        "fields": "field of research|technical field",
        "region": "region|where it is",
    },
    Kind.NEEDS: {
        "company": "name of the company|firm that asks|requesting company",
        "title": "title of the need|subject|topic of the request",
        "description": "description of the need|details of the problem|background of the request|specification",
        "asks": "kind of help wanted|what is asked for",
        "budget_ntd": "budget|money available|funds for the project",
        "deadline": "deadline|needed by|due date",
        "confidentiality": "degree of confidentiality|may it be published",
        "confidential_reason": "reason for confidentiality",
        "excluded_labs": "laboratories to exclude|do not contact these labs",
        "fields": "technical field|industry",
        "languages": "working languages",
        "region": "preferred region",
        "school": "university",
    },
    Kind.COMPANIES: {
        "name": "name of the company|trading name",
        "name_en": "English name of the company",
        "description": "what the company makes|main products|business description",
        "fields": "industry|line of business|sector",
        "size": "size of the company",
        "tier": "level of membership|kind of member",
        "country": "country|based in which country",
        "city": "town|city",
        "region": "region",
    },
    Kind.EVIDENCE: {
        "title": "title of the paper|title of the patent|title of the work",
        "abstract": "abstract|what it is about",
        "kind": "kind of publication",
    },
}  # fmt: skip
"""In English, as people write it; in Chinese the table of usual headings says enough."""
_NOT_OURS = [
    words
    for line in """
電話|手機|傳真|分機|電子郵件|聯絡人|緊急聯絡人|地址|郵遞區號|辦公室|房號|職稱|學歷|學位|性別|年齡|出生日期
到職日期|身分證字號|人數|學生人數|員工人數|資本額|營業額|股票代號|成立日期|負責人電話|收件日期|填表日期|拜訪日期
會議日期|入會日期|更新日期|建檔日期|處理狀態|進度|處理情形|審查意見|評分|滿意度|附件|檔案|簽名|簽章|核章|發票
統編抬頭|會費|匯款帳號|銀行帳號|付款|出席|報名|餐食|便當|停車|車號|交通|住宿|備註|照片|密碼|介紹人|推薦人|承辦人
窗口|助理|理事|監事|來源|版本|phone|mobile|fax|extension|e-mail|contact person|emergency contact|postal address
postal code|office|room number|job title|degree|gender|age|date of birth|start date of employment
passport number|headcount|number of students|number of employees|capital|turnover|stock symbol|founding date
date received|date filled in|visit date|meeting date|joined on|last updated|created on|status|progress
review comment|score|satisfaction|attachment|file|signature|stamp|invoice number|fee paid|bank account|payment
attendance|registration|meal|lunch|parking|licence plate|travel|accommodation|remark|photo|password|referred by
handled by|assistant|board member|source|version
""".splitlines()
    for words in line.split("|")
    if words
]
"""What stands in the lists of offices beside what is ours."""


class HeadingMeanings:
    """Tells headings by their meaning; the encoder is loaded at the first question, and only once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None
        self._is_missing = False
        self._usual: dict[Kind, tuple[list[str], FloatArray]] = {}

    def __call__(self, kind: Kind, headings: Sequence[str]) -> dict[str, str]:
        """Return the fields that headings mean, of those that can be told; nothing without the encoder."""
        asked = list(dict.fromkeys(headings))[:_ASKED_AT_ONCE]
        if kind not in _PHRASES or not asked or self._is_missing:
            return {}
        with self._lock:
            try:
                fields, usual = self._usual_of(kind)
                likeness = self._vectors(asked) @ usual.T
            except (EncoderError, OSError):
                # A list comes in without its unusual headings rather than not at all.
                self._is_missing = True
                return {}
        found = {heading: _meant(fields, row) for heading, row in zip(asked, likeness, strict=True)}
        return {heading: field for heading, field in found.items() if field is not None}

    def _vectors(self, texts: Sequence[str]) -> FloatArray:
        if self._encoder is None:
            self._encoder = load_encoder(ENCODER, self._settings)
        return self._encoder.encode(texts, role="query")

    def _usual_of(self, kind: Kind) -> tuple[list[str], FloatArray]:
        if kind not in self._usual:
            english = [(words, field) for field, listed in _PHRASES[kind].items() for words in listed.split("|")]
            known = [(words, field) for words, field in usual_headings(kind) if not words.isascii() or field in _NEVER]
            every = [*english, *known, *((words, _NO_FIELD) for words in _NOT_OURS)]
            self._usual[kind] = [field for _, field in every], self._vectors([words for words, _ in every])
        return self._usual[kind]


def _meant(fields: Sequence[str], likeness: FloatArray) -> str | None:
    best: dict[str, float] = {}
    for n in np.argsort(likeness)[::-1]:
        best.setdefault(fields[n], float(likeness[n]))
        if len(best) > 1:
            break
    (field, near), (_, other) = best.items()
    is_clear = near >= LEAST_LIKENESS and near - other >= LEAST_MARGIN
    return field if is_clear and field != _NO_FIELD and field not in _NEVER else None
