"""A company's need out of a letter, a form or a telephone note.

In: a text in Chinese or English. Out: a draft of the need with its company and contact, each field with the words it
was taken from. It exists because companies telephone and write; whoever takes the call should correct, not type.

A label such as 預算： is believed first; without labels, amounts, dates, firms and wishes are known by their form.
Nothing is invented: what is not said is left out, and a text is never held to be less confidential than the default.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator
from datetime import date

from stdnum.tw import ubn

from indexer.records.values import FieldError, day, money, numeral
from indexer.sources.drafts.passages import Draft, Labelled, Labels, Line, Passage, lines_of, matches_of, without_bullet
from indexer.vocabulary import LANGUAGE_WORDS, AskKind, ResearchField, find
from indexer.wording import T_

_LABELS = Labels(
    {
        "company": "公司|公司名稱|企業|企業名稱|廠商|廠商名稱|單位|單位名稱|來電公司|公司全名|company|"
        "company name|firm|organisation|"
        "organization",
        "tax_id": "統編|統一編號|公司統編|tax id|vat|vat number|business number",
        "contact": "聯絡人|聯繫人|窗口|聯絡窗口|承辦人|來電者|聯絡人姓名|contact|contact person|caller",
        "phone": "電話|聯絡電話|手機|行動電話|公司電話|分機|tel|phone|mobile|telephone",
        "email": "email|e-mail|電子郵件|電子信箱|信箱|mail",
        "title": "主旨|主題|標題|題目|需求名稱|需求標題|計畫名稱|案名|subject|title|topic",
        "description": "說明|需求說明|需求描述|問題|問題描述|問題說明|現況|背景|現況說明|內容|需求內容|"
        "技術問題|description|problem|"
        "background|situation|details|the problem",
        "asks": "需求|需求項目|希望|希望協助|希望學校協助|期望|期望協助|合作需求|合作項目|需要|徵求|"
        "待解決問題|想請學校協助|asks|needs|"
        "we need|we are looking for|looking for|request|what we need|requirements",
        "talent": "人才|人才需求|實習|talent|interns",
        "facility": "設備|設備需求|儀器|檢測|檢測需求|facility|equipment",
        "training": "訓練|教育訓練|培訓|課程|training",
        "budget_ntd": "預算|經費|經費預算|預算金額|預估經費|預計經費|可投入經費|總經費|budget|funding",
        "deadline": "期限|截止|截止日|截止日期|希望完成日期|完成期限|期望完成時間|預計完成|希望時程|時程|"
        "需求時間|完成日期|deadline|"
        "needed by|due|due date|timeline",
        "fields": "領域|技術領域|研究領域|產業別|產業領域|field|fields|research field",
        "languages": "語言|溝通語言|工作語言|language|languages|working language",
        "confidentiality": "機密|機密等級|保密|保密等級|保密要求|confidentiality",
        "from": "from|寄件者|寄件人",
        "date": "date|日期|來電日期|來電時間|寄件日期|sent",
        "end": "此致|敬祝|祝|順頌商祺|best regards|kind regards|regards|sincerely|to|cc|收件者|收件人|副本",
    },
    prose=("description", "asks"),
)
_FIRM = re.compile(
    r"[A-Za-z0-9\u3400-\u9fff（）()·&．.\-]{2,30}?(?:股份有限公司|有限公司|企業社|工作室|實業社|農場|合作社)"
    r"|(?:[A-Z][\w&'.-]*[ ,]+){1,6}(?:Co\.?,? ?Ltd\.?|Inc\.?|Corp(?:oration)?\.?|Ltd\.?|GmbH|LLC|PLC|AG|Limited)"
)
_NOT_IN_FIRM = re.compile(
    r"^(?:我們是|我是|這裡是|您好|本公司|敝公司|來自|關於|我們|代表|由|是|在|與|和|為|the |we are |i am |from )+", re.I
)
_AMOUNT = re.compile(
    r"(?:(?:新[臺台]幣|臺幣|台幣|NTD?\$?|TWD|\$)\s*)?"
    r"(?:[0-9０-９][0-9０-９,，.． ]{0,30}|[〇零一二兩三四五六七八九十百千]{1,12})"
    r"\s?(?:(?:百萬|千萬|萬|億|million|mio|k)\s*(?:元|圓|NTD?|TWD)?|元|圓|NTD?\b|TWD)"
    r"|(?:新[臺台]幣|臺幣|台幣|NTD?\$?|TWD)\s?[0-9０-９][0-9０-９,，.． ]{0,30}",
    re.IGNORECASE,
)
_BARE_AMOUNT = re.compile(r"[0-9０-９]{1,3}(?:[,，][0-9０-９]{3}){1,5}|[0-9０-９]{4,15}")
_FOREIGN = re.compile(r"(?:US\$|USD|EUR|€|£|GBP|JPY|¥|美[金元]|日[幣圓元]|歐元|人民幣|RMB)", re.IGNORECASE)
_OF_MONEY = re.compile(r"預算|經費|費用|budget|funding|spend|can pay|價金|出資|願意付|投入", re.IGNORECASE)
_DATE = re.compile(
    r"(?:中華民國|民國)?\s*[0-9０-９]{2,4}\s*[-/.年]\s*[0-9０-９]{1,2}\s*(?:[-/.月]\s*[0-9０-９]{1,2}\s*[日號]?|月\s*底?)"
    r"|[0-9]{1,2}(?:st|nd|rd|th)? (?:of )?[A-Z][a-z]{2,8},? [0-9]{4}|[A-Z][a-z]{2,8} [0-9]{1,2}(?:st|nd|rd|"
    r"th)?,? [0-9]{4}"
    r"|(?<![0-9０-９年])[0-9０-９一二三四五六七八九十]{1,3}\s*月\s*(?:[0-9０-９一二三四五六七八九十]{1,3}\s*[日號]|底)"
)
_UNTIL = re.compile(r"之?前|以前|為止|底|截止|期限|完成|deadline|\bby\b|before|until|no later than|due", re.IGNORECASE)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")
_PHONE = re.compile(
    r"(?<![0-9-])(?:\+?886[- ]?|\(?0)[0-9][0-9 ()-]{6,14}[0-9](?!-?[0-9])(?:\s*(?:#|ext\.?|分機)\s*[0-9]{1,6})?"
)
_TAX_ID = re.compile(r"(?<![0-9])[0-9]{8}(?![0-9])")
_TITLE_OF_ADDRESS = "(?:先生|小姐|女士|經理|協理|副理|廠長|課長|主任|總經理|董事長|處長|博士|特助|專員)"
_PERSON = re.compile(
    rf"(?:^|[\s，。、：:,是的和找])([\u3400-\u9fff]{{1,3}}{_TITLE_OF_ADDRESS})"
    r"|\b(?:Mr|Mrs|Ms|Dr)\.? [A-Z][A-Za-z'-]{1,30}",
    re.MULTILINE,
)
_CALLS_FROM = re.compile(
    rf"(?:我們?是|這裡是|這邊是|來自)([A-Za-z0-9\u3400-\u9fff]{{2,20}}?)的[\u3400-\u9fff]{{1,3}}{_TITLE_OF_ADDRESS}"
    r"|\b(?:This is|I am|I'm) [A-Z][\w.' -]{1,40}? (?:of|from|at) ([A-Z][\w&'-]*(?: [A-Z][\w&'-]*){0,5})"
)
"""Who says for which firm they call, where the firm's name has none of the words that end such names."""
_SENTENCE = re.compile(
    r"[^。！？!?;；\n]+?"
    r"(?:(?<=[a-z0-9)])\.(?=\s+[A-Z])|(?=[。！？!?;；\n])|(?=，(?:另外|另|也|並|同時|此外))|$)"
)
_WISH = re.compile(
    r"希望(?:能夠?|可以|貴校|學校)?|想要|想請|想找|尋找|尋求|徵求|急需|需要|請學校|可否協助|盼能|"
    r"looking for|would like(?: to)?|we hope to(?: find)?|we need|we seek|we want(?: to)?|in search of|"
    r"could you help(?: us)?(?: to)?",
    re.IGNORECASE,
)
_HELLO = re.compile(r"^\s*(?:您好|你好|hello|hi)\s*[，,。！!]", re.IGNORECASE)
_CLAUSE = re.compile(r"(?:[^，,。！？!?;；\n.]|\.(?=\S)|(?<=[MD][rs])\.)+[，,。！？!?;；.]*\s?")
_STOP = re.compile(r"[。！？!?;；]|\.(?=\s)")
_ALREADY = re.compile(r"^[\s，,、.]*(?:另外|另|也|並且?|同時|此外|因此|所以|and|also)?[\s，,]*")
_KINDS = (
    (AskKind.TALENT, re.compile(r"實習|工讀|人才|徵才|求才|學生|intern|student|graduate|recruit|hire|talent", re.I)),
    (AskKind.TRAINING, re.compile(r"訓練|培訓|課程|講座|training|course|workshop|teach", re.I)),
    (AskKind.LICENSING, re.compile(r"授權|技轉|技術移轉|licen[cs]|technology transfer", re.I)),
    (
        AskKind.FACILITY,
        re.compile(
            r"儀器|設備|檢測|量測|測試|打樣|試產|場域|test(?:ing)?\b|equipment|facility|instrument|measure", re.I
        ),
    ),
    (AskKind.INVESTMENT, re.compile(r"投資|募資|入股|invest", re.I)),
)
_SECRET = re.compile(r"保密|機密|不公開|勿外流|請勿轉|NDA|confidential|do not share|not to be disclosed", re.IGNORECASE)
_LANGUAGE = re.compile("|".join(sorted(map(re.escape, LANGUAGE_WORDS), key=len, reverse=True)), re.IGNORECASE)
_OF_LANGUAGE = re.compile(r"語言|溝通|以.{1,4}討論|communicat|language|speak|working in", re.IGNORECASE)
_GREETING = re.compile(
    r"^(?:您好|你好|敬啟者|各位|老師|dear|hello|hi|to whom|.{0,12}(?:老師|教授|先生|小姐)您?好)[\s,，:：!！]*.{0,20}$",
    re.I,
)
_REPLY = re.compile(r"^(?:(?:re|fw|fwd|回覆|轉寄|答覆)\s*[:：]\s*)+", re.IGNORECASE)
_TITLE_CHARS = 80
_FEWEST_CHARS = 4
_MAX_ASKS = 10


def draft_need(text: str, *, received: date) -> Draft:
    """Return the draft of a need.

    Args:
        text: what was sent or noted.
        received: the day on which it came, by which a date without a year is read.
    """
    draft = Draft(text)
    lines = lines_of(text)
    parts = _LABELS.found(lines)
    _company(draft, parts)
    _contact(draft, parts)
    _budget(draft, parts)
    asks = _asks(text, parts)
    _title(draft, lines, parts)
    _description(draft, lines, parts)
    if asks:
        told = [{"kind": kind.value, "text": passage.of(text)} for kind, passage in asks]
        draft.take("asks", told, *(passage for _, passage in asks))
    _deadline(draft, parts, received)
    _listed(draft, parts)
    return draft


def _first(parts: list[Labelled], *names: str) -> Labelled | None:
    return next((part for name in names for part in parts if part.name == name and part.text), None)


def _company(draft: Draft, parts: list[Labelled]) -> None:
    said = _first(parts, "company")
    if said is not None:
        line = said.lines[0].passage
        found = next(matches_of(_FIRM, said.text), None)
        draft.take("company", line.of(draft.text) if found is None else found[0].strip(), line)
    else:
        firms = [(name, place) for name, place in matches_of(_FIRM, draft.text)]
        if firms:
            name, place = firms[0]
            begin = _NOT_IN_FIRM.match(name)
            start = place.start + (begin.end() if begin else 0)
            draft.take("company", draft.text[start : place.end].strip(), Passage(start, place.end))
            if len({one for one, _ in firms}) > 1:
                draft.notes.append(T_("several firms are named; choose the one whose need it is"))
        elif (caller := _CALLS_FROM.search(draft.text)) is not None:
            draft.take("company", caller[caller.lastindex or 0], Passage(*caller.span(caller.lastindex or 0)))
    labelled = _first(parts, "tax_id")
    for digits, place in matches_of(_TAX_ID, draft.text):
        within = labelled is not None and labelled.passage.start <= place.start < labelled.passage.end
        if ubn.is_valid(digits) and (within or labelled is None):
            draft.take("tax_id", digits, place)
            return


def _contact(draft: Draft, parts: list[Labelled]) -> None:
    said = _first(parts, "contact")
    if said is not None:
        draft.take("contact", said.lines[0].text.strip(), said.lines[0].passage)
    else:
        sender = _first(parts, "from")
        name = re.match(r"\s*\"?([^\"<@]{2,60}?)\"?\s*<", sender.lines[0].text) if sender is not None else None
        if sender is not None and name is not None:
            start = sender.lines[0].start + name.start(1)
            draft.take("contact", name[1], Passage(start, start + len(name[1])))
        elif (person := _PERSON.search(draft.text)) is not None:
            draft.take("contact", person[person.lastindex or 0], Passage(*person.span(person.lastindex or 0)))
    for field, pattern in (("email", _EMAIL), ("phone", _PHONE)):
        found = next(matches_of(pattern, draft.text), None)
        if found is not None:
            draft.take(field, found[0].strip(), found[1])


def reached_of(words: str) -> tuple[str, str, str]:
    """Return name, mail address and telephone number out of what was noted of somebody; what is not said is empty."""
    email, phone = _EMAIL.search(words), _PHONE.search(words)
    name = words
    for found in (email, phone):
        name = name.replace(found[0], " ") if found is not None else name
    name = re.sub(r"(?:電話|手機|分機|信箱|tel|phone|e?-?mail)\s*[:：]?", " ", name, flags=re.IGNORECASE)
    return (
        " ".join(re.sub(r"[，,、;；:：]+", " ", name).split())[:200],
        email[0] if email else "",
        phone[0] if phone else "",
    )


def _title(draft: Draft, lines: list[Line], parts: list[Labelled]) -> None:
    said = _first(parts, "title")
    if said is not None:
        line = said.lines[0]
        reply = _REPLY.match(line.text.strip())
        place = line.passage
        start = place.start + (reply.end() if reply else 0)
        draft.take("title", draft.text[start : place.end], Passage(start, place.end))
        return
    found = _wished(draft.text) if _first(parts, "asks", "description") is None else None
    if found is None:
        found = _first_sentence(draft.text, lines, parts)
    if found is not None:
        draft.take("title", found.of(draft.text), found)


def _wished(text: str) -> Passage | None:
    """Return what the first wish is for, such as the technology after 希望找到."""
    for _, place in _wishes(text):
        wish = _WISH.search(place.of(text))
        start = place.start + (wish.end() if wish else 0)
        lead = re.match(r"[\s，,：:]*(?:找到|有|尋找|an? |the )?", text[start : place.end])
        start += lead.end() if lead else 0
        end = min(place.end, start + _TITLE_CHARS)
        if end - start >= _FEWEST_CHARS:
            return Passage(start, end)
    return None


def _first_sentence(text: str, lines: list[Line], parts: list[Labelled]) -> Passage | None:
    """Return the first sentence that says something of the matter."""
    beside = ("asks", "description")
    labelled = {one.start for part in parts for one in (part.heading, *(() if part.name in beside else part.lines))}
    for line in lines:
        if line.start in labelled or _GREETING.match(line.text.strip()):
            continue
        bare = without_bullet(line) or line
        for words, place in matches_of(_SENTENCE, bare.text):
            said = words.strip()
            if len(said) < _FEWEST_CHARS or _OF_MONEY.search(said) or (_UNTIL.search(said) and _DATE.search(said)):
                continue
            start = bare.start + place.start + len(words) - len(words.lstrip())
            kept = next(_of_the_matter(Passage(start, start + len(said)), text), None)
            if kept is not None and kept.end - kept.start >= _FEWEST_CHARS:
                return Passage(kept.start, min(kept.end, kept.start + _TITLE_CHARS))
    return None


def _of_the_matter(place: Passage, text: str) -> Iterator[Passage]:
    """Yield the parts of a place without the clauses that say who calls, and how they are reached."""
    start: int | None = None
    end = place.start
    for clause, at in matches_of(_CLAUSE, place.of(text)):
        is_of_who = any(one.search(clause) for one in (_CALLS_FROM, _PHONE, _EMAIL, _HELLO)) or _calls(clause)
        if not is_of_who:
            start = place.start + at.start if start is None else start
            end = place.start + at.start + len(clause.rstrip("，, "))
        elif start is not None:
            yield Passage(start, end)
            start = None
    if start is not None:
        yield Passage(start, end)


def _calls(clause: str) -> bool:
    """Whether somebody says no more than who they are, as 我是某某公司的林經理 does."""
    begin = re.match(r"\s*(?:您好|你好)?[，,\s]*(?:我是|我們是|這裡是|this is|i am)", clause, re.IGNORECASE)
    return begin is not None and _PERSON.search(clause) is not None


def _description(draft: Draft, lines: list[Line], parts: list[Labelled]) -> None:
    said = [part for part in parts if part.name == "description" and part.text]
    if said:
        body = [line.passage for part in said for line in part.lines if line.text.strip()]
        _describe(draft, body)
        return
    beside = {line.start for part in parts if part.name != "asks" for line in (part.heading, *part.lines)}
    places = [line.passage for line in lines if line.text.strip() and line.start not in beside]
    body = [one for one in places if not _GREETING.match(one.of(draft.text)) and not _is_signature(one, draft.text)]
    title = next((one for one in draft.fields if one.name == "title"), None)
    if title is not None and body and title.passages[0] == body[0] and len(body) > 1:
        body = body[1:]
    _describe(draft, body)


def _describe(draft: Draft, body: list[Passage]) -> None:
    """Take the description: what labs may read, so without what the company would pay, and who called from where."""
    budget = next((one.passages[0] for one in draft.fields if one.name == "budget_ntd"), None)
    about = [part for place in body for part in _of_the_matter(place, draft.text)]
    kept = [part for place in about for part in _without_sentence_of(budget, place, draft.text)]
    joined = list(_joined(kept, draft.text))
    draft.take("description", "\n".join(one.of(draft.text) for one in joined), *joined)


def _without_sentence_of(budget: Passage | None, place: Passage, text: str) -> Iterator[Passage]:
    if budget is None or not place.start <= budget.start < place.end:
        yield place
        return
    words = place.of(text)
    at = budget.start - place.start
    ends = [found.end() for found in _STOP.finditer(words)]
    start = max((end for end in ends if end <= at), default=0)
    end = min((end for end in ends if end > at), default=len(words))
    clauses = [start + one.start for _, one in matches_of(_CLAUSE, words[start:end])]
    # Of a sentence that also wishes for something, what comes before the money stays.
    if _WISH.search(words[start:at]) and not _OF_MONEY.search(words[start : max(one for one in clauses if one <= at)]):
        start = max(one for one in clauses if one <= at)
    for begin, stop in ((0, start), (end, len(words))):
        if words[begin:stop].strip():
            lead = len(words[begin:stop]) - len(words[begin:stop].lstrip())
            yield Passage(place.start + begin + lead, place.start + begin + len(words[begin:stop].rstrip("，, \n")))


def _is_signature(place: Passage, text: str) -> bool:
    words = place.of(text)
    rest = _PHONE.sub("", _EMAIL.sub("", words))
    return rest != words and len(rest) < 30 and next(_of_the_matter(place, text), None) is None


def _joined(places: list[Passage], text: str) -> Iterator[Passage]:
    """Yield places with those that follow each other as one."""
    current: Passage | None = None
    for place in places:
        if current is not None and not text[current.end : place.start].strip():
            current = Passage(current.start, place.end)
            continue
        if current is not None:
            yield current
        current = place
    if current is not None:
        yield current


_ASKS_BY_LABEL = {"talent": AskKind.TALENT, "facility": AskKind.FACILITY, "training": AskKind.TRAINING}


def _asks(text: str, parts: list[Labelled]) -> list[tuple[AskKind, Passage]]:
    found: list[tuple[AskKind, Passage]] = []
    for part in parts:
        if part.name not in ("asks", *_ASKS_BY_LABEL):
            continue
        said = [line for line in part.lines if line.text.strip()]
        bullets = [one for line in said if (one := without_bullet(line)) is not None]
        for line in bullets or said[: 1 if part.name == "asks" and len(said) > _MAX_ASKS else None]:
            if _GREETING.match(line.text.strip()) or _is_signature(line.passage, text):
                continue
            found.append((_ASKS_BY_LABEL.get(part.name) or _kind_of(line.text), line.passage))
    return (found or list(_wishes(text)))[:_MAX_ASKS]


def _wishes(text: str) -> Iterator[tuple[AskKind, Passage]]:
    """Yield the sentences that wish for something other than money or an end."""
    for sentence, place in matches_of(_SENTENCE, text):
        words = _before_money(sentence)
        if _WISH.search(words) is None or (_DATE.search(words) and _UNTIL.search(words)):
            continue
        said = Passage(place.start, place.start + len(words.rstrip()))
        parts = [one for one in _of_the_matter(said, text) if _WISH.search(one.of(text))]
        for part in parts[:1] or [said]:
            begin = _ALREADY.match(part.of(text))
            yield _kind_of(words), Passage(part.start + (begin.end() if begin else 0), part.end)


def _before_money(sentence: str) -> str:
    """Return a sentence up to the clause that speaks of money."""
    end = next((at.start for clause, at in matches_of(_CLAUSE, sentence) if _OF_MONEY.search(clause)), len(sentence))
    return sentence[:end].rstrip("，, ")


def _kind_of(words: str) -> AskKind:
    head, colon, _ = unicodedata.normalize("NFKC", words).partition(":")
    named = find(AskKind, head.strip()) if colon else None
    return named or next((kind for kind, pattern in _KINDS if pattern.search(words)), AskKind.TECHNOLOGY)


def _budget(draft: Draft, parts: list[Labelled]) -> None:
    said = _first(parts, "budget_ntd")
    near = [said.passage] if said is not None else [place for _, place in matches_of(_OF_MONEY, draft.text)]
    for place in near:
        start, end = place.start, place.end if said is not None else min(len(draft.text), place.end + 40)
        words = draft.text[start:end].split("\n\n")[0]
        if _FOREIGN.search(words):
            draft.notes.append(T_("the amount is in another currency; enter it in New Taiwan dollars"))
            return
        # As long as it was, so that places stay: a telephone number is no amount.
        words = _PHONE.sub(lambda number: " " * len(number[0]), words) if said is None else words
        found = next(matches_of(_AMOUNT, words), None) or next(matches_of(_BARE_AMOUNT, words), None)
        if found is not None and (amount := amount_of(found[0])) is not None:
            draft.take("budget_ntd", amount, Passage(start + found[1].start, start + found[1].end))
            return
    if said is not None:
        draft.notes.append(T_("the budget could not be read as an amount"))


def amount_of(words: str) -> int | None:
    """Return whole New Taiwan dollars of 50萬, 九十萬, ９００，０００, 1.5 million; None of other words."""
    plain = unicodedata.normalize("NFKC", words).strip().rstrip(",. ")
    for word, factor in (("million", 10**6), ("mio", 10**6), ("k", 10**3)):
        found = re.fullmatch(
            rf"(?:NTD?\$?|TWD|\$)?\s*([0-9][0-9,]*(?:\.[0-9]+)?)\s*{word}\s*(?:NTD?|TWD)?", plain, re.I
        )
        if found:
            return round(float(found[1].replace(",", "")) * factor)
    try:
        return money(re.sub(r"^(?:臺幣|台幣)\s*", "", plain))
    except FieldError:
        return None


def _deadline(draft: Draft, parts: list[Labelled], received: date) -> None:
    said = _first(parts, "deadline")
    if said is not None:
        for words, place in matches_of(_DATE, said.text):
            if (found := date_of(words, received)) is not None:
                start = draft.text.find(said.text, said.passage.start)
                draft.take("deadline", found.isoformat(), Passage(start + place.start, start + place.end))
                return
        draft.notes.append(T_("the date could not be read; enter it"))
        return
    beside = [part.passage for part in parts if part.name == "date"]
    for words, place in matches_of(_DATE, draft.text):
        around = draft.text[max(0, place.start - 12) : place.end + 6]
        if any(one.start <= place.start < one.end for one in beside) or not _UNTIL.search(around):
            continue
        found = date_of(words, received)
        if found is not None and found >= received:
            draft.take("deadline", found.isoformat(), place)
            return


def date_of(words: str, received: date) -> date | None:
    """Return a date as people write it; one without a year is the next such day, one without a day a month's last."""
    plain = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", words)).strip().replace(" of ", " ")
    plain = re.sub(r"[〇零一二三四五六七八九十]+(?=\s*[月日號])", lambda found: str(numeral(found[0])), plain)
    try:
        return day(plain)
    except FieldError:
        pass
    found = re.fullmatch(
        r"(?:(?:中華民國|民國)? ?(\d{2,4}) ?[年/.-] ?)?(\d{1,2}) ?月? ?(?:(\d{1,2}) ?[日號]|底)?", plain
    )
    if found is None:
        return None
    year = int(found[1]) if found[1] else received.year
    year += 1911 if year < 200 else 0
    month = int(found[2])
    if not 1 <= month <= 12 or not 1900 <= year <= 2200:
        return None
    last = monthrange(year, month)[1]
    try:
        said = date(year, month, int(found[3]) if found[3] else last)
        return said.replace(year=year + 1) if not found[1] and said < received else said
    except ValueError:
        return None


def _listed(draft: Draft, parts: list[Labelled]) -> None:
    """Take what comes of closed lists: research fields, languages, confidentiality."""
    said = _first(parts, "fields")
    words = re.split(r"[、,，;；/\s]+", said.text) if said is not None else []
    named = [(term, said.passage) for word in words if said is not None and (term := find(ResearchField, word))]
    if not named:
        named = [(term, place) for term in ResearchField for _, place in matches_of(re.compile(term.value), draft.text)]
    terms = dict(named[::-1])
    draft.take("fields", [term.value for term in ResearchField if term in terms], *dict.fromkeys(terms.values()))
    spoken = _first(parts, "languages")
    near = [spoken.passage] if spoken is not None else [place for _, place in matches_of(_OF_LANGUAGE, draft.text)]
    codes: dict[str, Passage] = {}
    for place in near:
        start, end = (place.start, place.end) if spoken is not None else (max(0, place.start - 12), place.end + 24)
        for word, at in matches_of(_LANGUAGE, draft.text[start:end]):
            codes.setdefault(LANGUAGE_WORDS[word.casefold()], Passage(start + at.start, start + at.end))
    draft.take("languages", list(codes), *codes.values())
    if secret := next(matches_of(_SECRET, draft.text), None):
        draft.take("confidentiality", "confidential", secret[1])
