"""A history that fills every field which somebody must not read, each with a telltale word, and who may read which.

In: a running server. Out: the telltales with their readers, the rows that the history left, and which of the words
lie in some bytes, as text of any encoding, escaped for JSON or an address, or in base 64. A telltale is made so
that nobody writes it by chance.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api.access.credentials import digest, make_key, open_sessions, set_password_hash
from api.access.passwords import hash_password
from api.requests.permitted_request import COOKIE
from indexer.database import open_engine, reading, writing
from indexer.records.importing import import_rows
from indexer.records.record_tables import Need
from matcher.ledger.rules.months import month_of
from matcher.review.people import add_account, declare_stake, grant
from matcher.review.roles import Role
from tests.rig.servers.served import PEOPLE, Served
from tests.rig.servers.served_work import ended, job_of, upload
from tests.rig.worlds.planted_ways_out import ways_out_told
from tests.rig.worlds.small_world import draw_everything

STEM, STEM_ZH = "zqxj", "祕封"
"""What every telltale begins with, so that most bytes can be passed over after few looks."""
_BEGINNING = 5
"""So many bytes of each form are looked for before the form is. As all words begin alike, there are few beginnings."""
_SUFFIXES = (
    "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥天地玄黃宇宙洪荒日月盈昃列張寒來暑往秋收冬藏閏餘成歲律呂調陽"
    "雲騰致雨露結為霜金生麗水玉出崑岡劍號巨闕珠稱夜光果珍李柰菜重芥薑海鹹河淡鱗潛羽翔龍師火帝鳥官人皇"
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


def _common_beginning(several: Sequence[bytes]) -> bytes:
    first, last = min(several), max(several)
    return first[: next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


class Search:
    """Finds planted words in bytes."""

    def __init__(self, words: dict[str, Iterable[str]]) -> None:
        """Take for every name the words that give it away."""
        stems: dict[tuple[str, bool], list[tuple[str, str]]] = {}
        for name, several in words.items():
            for word in several:
                stem = next((stem for stem in (STEM, STEM_ZH) if word.startswith(stem)), word)
                # Words with Chinese in them have more forms.
                stems.setdefault((stem, word.isascii()), []).append((name, word))
        self._forms: list[tuple[bytes, dict[bytes, dict[bytes, str]]]] = []
        """By what all words of a stem have in common in a form their beginnings, by each of which the forms."""
        for planted in stems.values():
            for same in zip(*(forms(word) for _, word in planted), strict=True):
                beginnings: dict[bytes, dict[bytes, str]] = {}
                for (name, _), form in zip(planted, same, strict=True):
                    beginnings.setdefault(form[:_BEGINNING], {})[form] = name
                self._forms.append((_common_beginning(same), beginnings))

    def found(self, content: bytes) -> set[str]:
        """Return the names of the words that lie in some bytes."""
        met: set[str] = set()
        for stem, beginnings in self._forms:
            if stem in content:
                for beginning, several in beginnings.items():
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


NONE: frozenset[str] = frozenset()
OWN = frozenset({"expert", "colleague", "lead"})
"""The staff of al-a, whose need it is; "stranger" is of al-b."""
_READERS = OWN | {"committee", "office"}
"""Who reads an entry of al-a."""
_ENTRIES = "/api/ledger/entries"


@dataclass(frozen=True)
class Secret:
    """Who reads a secret with the routes there are (`must`), and who else might (`may`)."""

    must: frozenset[str] = NONE
    may: frozenset[str] = NONE


RESULT_SECRETS = {
    # What is wrong with a file, only who sent it reads, as what it is called.
    "jobfile": Secret(frozenset({"expert"})),
    "rowproblem": Secret(frozenset({"expert"})),
    "listcell": Secret(frozenset({"expert"})),
    "madekey": Secret(),
    # A claim that waits is read by those who decide on it, the word on one by the claimant.
    "claimstatement": Secret(frozenset({"newcomer", "lead", "office"})),
    "claimreason": Secret(frozenset({"newcomer"})),
    "claimaddress": Secret(frozenset({"lead", "office"})),
    # Why another alliance asks to look after the company too, and what it was told: both sides, and the office.
    "clientreason": Secret(OWN | {"company", "stranger", "office"}),
    "clientnote": Secret(OWN | {"company", "stranger", "office"}),
    "stakereason": Secret(frozenset({"office"})),
    "keyname": Secret(frozenset({"expert"}), frozenset({"office"})),
    # A result of al-a.
    "evidencefile": Secret(_READERS),
    "evidencename": Secret(_READERS),
    "valueadded": Secret(_READERS),
    "monthwords": Secret(_READERS),
    "payer": Secret(_READERS),
    "supplement": Secret(_READERS),
    "returnreason": Secret(_READERS),
    "motionreason": Secret(_READERS),
    "dropreason": Secret(_READERS),
    # One of al-b.
    "foreignvalue": Secret(frozenset({"stranger", "office"})),
    # Nobody is told who a pseudonym is; what tells people apart is not even stored.
    "personname": Secret(),
    "personcontact": Secret(),
    "personidentifier": Secret(),
    # The programme's own: what a school cooperates in is there for comparison, other programmes' claims are not.
    "totalsource": Secret(_READERS | {"stranger"}),
    "claimedparty": Secret(frozenset({"office"})),
    "closereason": Secret(frozenset({"office"})),
    # What opens something without signing in: a link and a feed are told once, a calendar's address to its owner.
    "sharedsecret": Secret(),
    "feedsecret": Secret(),
    "webhooksecret": Secret(),
    "calendartoken": Secret(frozenset({"expert"})),
    # Where a program is told, its owner reads; whose mail comes back, and why, the office.
    "webhookurl": Secret(frozenset({"expert"})),
    "refusedaddress": Secret(frozenset({"office"})),
    "mailsaid": Secret(frozenset({"office"})),
    # What the company says of its need by a link; and why records were mended, the office's own.
    "needword": Secret(OWN),
    "mergereason": Secret(frozenset({"office"})),
    "retirereason": Secret(frozenset({"office"})),
}
FILED = ("evidencefile", "needfile", "labfile", "internalfile")
"""What lies in files of the home, and in no table."""
NOT_STORED = ("madekey", "personidentifier", "sharedsecret", "feedsecret", "webhooksecret", "calendartoken")
"""What is not even in the database."""


def results_told(server: Served, planted: dict[str, str], words: dict[str, list[str]]) -> dict[str, list[str]]:
    """Let this part of the history happen; add the words that can't be chosen, return rows by parameter."""
    ids = _files_and_keys(server, planted, words)
    ids |= _people_told(server, planted, words)
    ids |= _clients_told(server, planted)
    ids |= _entries_told(server, planted)
    return ids


def _results_done(server: Served, who: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.status_code in (200, 201, 202), f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document


def _files_and_keys(server: Served, planted: dict[str, str], words: dict[str, list[str]]) -> dict[str, list[str]]:
    name = f"{planted['jobfile']}.csv"
    content = f"id,title,budget_ntd\nneed-new,拋光,{planted['rowproblem']}\n".encode()
    job_id = job_of(upload(server, "expert", name, content, kind="needs"))
    ended(server, "expert", job_id)
    made = _results_done(server, "expert", "POST", "/api/me/keys", json={"name": planted["keyname"]})
    words["madekey"] = [made["key"]]
    rows = f"需求名稱,預算\n{planted['listcell']},{planted['listcell']}\n".encode()
    sent = {"params": {"name": "list.csv"}, "content": rows}
    listed = _results_done(server, "expert", "POST", "/api/import-drafts", **sent)["id"]
    kept = {"name": "kept columns", "table": "0-1"}
    _results_done(server, "expert", "POST", f"/api/import-drafts/{listed}/mappings", json=kept)
    return {"job_id": [job_id], "import_id": [listed], "mapping_name": [kept["name"]]}


def _people_told(server: Served, planted: dict[str, str], words: dict[str, list[str]]) -> dict[str, list[str]]:
    engine, now, valid = open_engine(server.settings), datetime.now(UTC), timedelta(days=1)
    words["claimaddress"] = ["newcomer@example.org"]
    with writing(engine) as session:
        spare = add_account(session, email="spare@example.org", name="", now=now).id
        given = grant(session, account_id=spare, role=Role.JOB, by=None, now=now)
        stakes = [declare_stake(session, account_id=spare, party="company", party_id="co-1-4", now=now).id]
        keys = [
            make_key(session, account_id=spare, name="n", may_write=False, valid=valid, now=now)[0].prefix
            for _ in range(2)
        ]
    engine.dispose()
    reason = {"reason": planted["stakereason"]}
    _results_done(server, "office", "POST", f"/api/accounts/{spare}/stakes/{stakes[0]}/end", json=reason)
    refused = _results_done(server, "newcomer", "POST", "/api/labs/lab-1-01/claims", json={"statement": "mine"})
    word = {"verdict": "refused", "reason": planted["claimreason"]}
    _results_done(server, "lead", "POST", f"/api/claims/{refused['id']}/verdict", json=word)
    statement = {"statement": planted["claimstatement"]}
    _results_done(server, "newcomer", "POST", "/api/labs/lab-1-01/claims", json=statement)
    ids = {"account_id": [spare], "grant_id": [str(given.id)], "stake_id": [str(stakes[0])]}
    return {**ids, "claim_id": [str(refused["id"])], "prefix": keys, "key_prefix": keys}


def _clients_told(server: Served, planted: dict[str, str]) -> dict[str, list[str]]:
    """Another alliance asks to look after the company too, and is refused."""
    asked = {"reason": planted["clientreason"]}
    number = _results_done(server, "stranger", "PUT", "/api/companies/co-1-1/client", json=asked)["id"]
    word = {"agreed": False, "note": planted["clientnote"]}
    _results_done(server, "expert", "POST", f"/api/company-requests/{number}/answer", json=word)
    return {"request_id": [str(number)]}


def _entries_told(server: Served, planted: dict[str, str]) -> dict[str, list[str]]:
    person = {
        "name": planted["personname"],
        "identifier": planted["personidentifier"],
        "contact": planted["personcontact"],
    }
    _results_done(server, "expert", "POST", "/api/ledger/persons", json=person)
    sent = [
        _results_done(server, who, "POST", "/api/evidence", content=f"contract {text}".encode())["sha256"]
        for who, text in (("expert", planted["evidencefile"]), ("stranger", "of al-b"))
    ]
    total = {"school_id": "ysu", "year": 108, "amount_ntd": 900_000_000, "source": planted["totalsource"]}
    _results_done(server, "office", "POST", "/api/ledger/school-totals", json=total)
    claim = {"programme": "patent", "kpi": "P", "claimant": "三號大學", "reference": "專-1"}
    _results_done(
        server, "office", "POST", "/api/ledger/external-claims", json={**claim, "party": planted["claimedparty"]}
    )
    _report(server, "expert", "money-own-0001", planted, sent[0], {"value_added": planted["valueadded"]})
    _report(server, "stranger", "money-foreign-0001", planted, sent[1], {"value_added": planted["foreignvalue"]})
    words = {"month": month_of(datetime.now(UTC)), "achievements": planted["monthwords"]}
    _results_done(server, "lead", "POST", "/api/alliances/al-a/month", json=words)
    own = f"{_ENTRIES}/money-own-0001"
    _results_done(server, "committee", "POST", f"{own}/return", json={"reason": planted["returnreason"]})
    _results_done(server, "expert", "POST", f"{own}/supplement", json={"text": planted["supplement"]})
    _results_done(server, "committee", "POST", f"{own}/check", json={})
    motion = _results_done(server, "office", "POST", f"{own}/recognise", json={"note": planted["motionreason"]})[
        "motion"
    ]
    drop = {"reason": planted["dropreason"]}
    _results_done(server, "committee", "POST", f"/api/ledger/motions/{motion['id']}/drop", json=drop)
    reason = {"reason": planted["closereason"]}
    close = _results_done(server, "office", "POST", "/api/ledger/periods/2019Q2/close", json=reason)
    return {
        "entry_id": ["money-own-0001", "money-foreign-0001"],
        "sha256": sent,
        "motion_id": [str(motion["id"]), str(close["id"])],
        "period": ["2019Q2"],
    }


def _report(
    server: Served, who: str, entry_id: str, planted: dict[str, str], digest: str, more: dict[str, Any]
) -> None:
    own = who == "expert"
    details = {
        "contract": entry_id,
        "instalment": 1,
        "payer": planted["payer"] if own else "某公司",
        "payer_country": "TW",
        "payer_type": "company",
        "purpose": "research",
    }
    entry = {
        "id": entry_id,
        "kpi": "L",
        "amount": 6_000_000 if own else 7_000_000,
        "shares": {"al-a" if own else "al-b": 10_000},
        "details": details,
        "occurred_on": "2019-05-02",
        "school_id": "ysu",
        "evidence": [{"sha256": digest, "name": planted["evidencename"] if own else "合約"}],
        **more,
    }
    _results_done(server, who, "POST", _ENTRIES, json=entry)


SECRETS = {
    # A confidential need of co-1-1 that stays in al-a and was introduced to lab-1-01 only.
    "title": Secret(OWN | {"company", "researcher"}),
    "description": Secret(OWN | {"company", "researcher"}),
    "ask": Secret(OWN | {"company", "researcher"}),
    "deadline": Secret(OWN | {"company", "researcher"}),
    "reason": Secret(OWN | {"company"}),
    "budget": Secret(OWN | {"company"}),
    "excluded": Secret(OWN | {"company"}),
    # Another one, which was shared with al-b for the company's consent; to the office no share opens it.
    "sharedtitle": Secret(OWN | {"company", "stranger"}),
    "sharedreason": Secret(OWN | {"company", "stranger"}),
    "sharedbudget": Secret(OWN | {"company", "stranger"}),
    "sharedexcluded": Secret(OWN | {"company", "stranger"}),
    # What experts write stays in their alliance.
    "acceptnote": Secret(OWN),
    "rejectnote": Secret(OWN),
    "ownnote": Secret(OWN),
    "casenote": Secret(OWN),
    "lostnote": Secret(OWN),
    "meetingnote": Secret(OWN),
    "nextstep": Secret(OWN),
    # What a judge notes, nobody else learns before both have finished.
    "judgenote": Secret(frozenset({"expert"})),
    # What the sides answer and write to each other, each read by those it was written to.
    "companyanswer": Secret(OWN | {"company"}),
    "labanswer": Secret(OWN | {"researcher"}),
    "companymessage": Secret(OWN | {"company"}),
    "labmessage": Secret(OWN | {"researcher"}),
    "bothmessage": Secret(OWN | {"company", "researcher"}),
    "internalnote": Secret(OWN),
    "meetingplace": Secret(OWN | {"company", "researcher"}),
    # What a lab is asked about its evidence, and says: the two who speak, and nobody of the company.
    "labasked": Secret(OWN | {"researcher"}),
    "labword": Secret(OWN | {"researcher"}),
    # Files, by what they are called and by what is in them.
    "needfile": Secret(OWN | {"company", "researcher"}),
    "needfilename": Secret(OWN | {"company", "researcher"}),
    "labfile": Secret(OWN | {"researcher"}),
    "labfilename": Secret(OWN | {"researcher"}),
    "internalfile": Secret(OWN),
    "internalfilename": Secret(OWN),
    "callnote": Secret(may=OWN),
    "callstep": Secret(OWN),
    "closingnote": Secret(may=OWN),
    # Whoever was let in to a need, its company and its alliance are told, and why.
    "consent": Secret(OWN | {"company"}, frozenset({"office"})),
    "breakreason": Secret(OWN | {"company"}, frozenset({"office"})),
    # What a lab will not do is for those who match.
    "willnot": Secret(OWN | {"stranger", "office", "researcher"}),
    # Candidates that the company was not shown: one rejected, one only proposed.
    "rejected": Secret(OWN | {"stranger", "office"}),
    "proposed": Secret(OWN | {"stranger", "office"}),
    "stake": Secret(frozenset({"colleague"}), frozenset({"office"})),
    # What proves who somebody is, and what nobody has to give back.
    "password": Secret(),
    "wrongpassword": Secret(),
    "idempotency": Secret(),
    "session": Secret(),
    "csrf": Secret(),
    "keys": Secret(),
    "hashes": Secret(),
    "addresses": Secret(may=frozenset({"office"})),
    # What an expert writes to a company, and the address that stands below it.
    "shortlistwords": Secret(OWN),
    "liaisonaddress": Secret(may=OWN | {"office"}),
    # Who looks after a company reads whom to write to.
    "contactaddress": Secret(OWN | {"office"}),
    # Whoever works on a pairing reads how the lab is reached.
    "labaddress": Secret(OWN, frozenset({"stranger", "office"})),
    "companycontact": Secret(OWN | {"office"}),
    "companyphone": Secret(OWN | {"office"}),
    **RESULT_SECRETS,
}
NUMBERS = {"budget": 717_263_545_362, "sharedbudget": 817_263_545_362}
DEADLINE = "2091-03-17"
PHONE = "0491717263545"
_ADDRESSES_READ = ("company", "newcomer", "expert", "researcher", "other_researcher")
PASSWORD = f"{latin('password')} of the expert"
_PLANTED = {name: telltale(name, number) for number, name in enumerate(SECRETS)}
"""The text of each secret that is text."""
CREDENTIALS = ("password", "session", "keys", *NOT_STORED)
"""What is not even in the database."""


@dataclass
class History:
    """What the history left: the words that give each secret away, and rows by the parameter that names them."""

    words: dict[str, list[str]]
    ids: dict[str, list[str]]


def told(server: Served) -> History:
    """Let the history happen."""
    words = {name: [latin(name), chinese(number)] for number, name in enumerate(SECRETS)}
    for name, number in NUMBERS.items():
        words[name] = [str(number), f"{number:,}"]
    words |= {
        "deadline": [DEADLINE, "2091, 3, 17", "2091/3/17", "2091/03/17"],
        "rejected": ["lab-1-03"],
        "proposed": ["lab-1-04"],
    }
    words |= {
        "keys": list(server.keys.values()),
        "addresses": [f"{name}@example.org" for name in PEOPLE if name not in _ADDRESSES_READ],
        "labaddress": ["researcher@example.org"],
    }
    words["liaisonaddress"] = ["expert@example.org"]
    words["contactaddress"] = ["company@example.org"]
    words["companyphone"] = [PHONE]
    words["hashes"] = [digest(key) for key in server.keys.values()]
    for name in ("stake", "wrongpassword", "password", "idempotency"):
        # Ids, headers and what is typed have no Chinese here.
        words[name] = [latin(name)]
    reached = {"contact": _PLANTED["companycontact"], "contact_phone": PHONE}
    _done(server, "expert", "PUT", "/api/companies/co-1-1/contact", json=reached)
    need_id = _submitted(server, "title", description="description", ask="ask", deadline=DEADLINE)
    ids = _worked_on(server, need_id)
    shared_id, own_id = _shared(server)
    seen = _done(
        server, "office", "POST", f"/api/needs/{need_id}/break-glass", params={"reason": _PLANTED["breakreason"]}
    )
    # Who breaks the glass reads the need, and only in that answer.
    assert latin("title") in seen["title"]
    words["session"], words["csrf"] = _credentials(server)
    ids["session_id"] = _handles(server)
    _lab_and_stake(server)
    ids |= _listed(server, need_id)
    ids |= ways_out_told(server, need_id, ids["shortlist_id"][0], _PLANTED, words)
    for name, several in results_told(server, _PLANTED, words).items():
        ids[name] = several
    # A map with a point for every need and lab.
    draw_everything(server.settings)
    ids |= _judged(server, need_id)
    ids["need_id"] += [shared_id]
    ids["company_id"] = ["co-1-1"]
    ids["pairing_id"] += [own_id]
    return History(words, ids)


def _done(server: Served, who: str | None, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document


def _exclude(server: Served, need_id: str, lab: str) -> None:
    """Exclude a lab that is not stored, as older needs do: no way in takes one any more, so only the need names it."""
    engine = open_engine(server.settings)
    with writing(engine) as session:
        session.get_one(Need, need_id).excluded_labs = [lab]
    engine.dispose()


def _submitted(server: Served, title: str, *, description: str = "", ask: str = "", **more: Any) -> str:
    prefix = "shared" if title.startswith("shared") else ""
    need = {
        "title": f"碳化矽拋光 {_PLANTED[title]}",
        "description": f"矽面移除率太低 {_PLANTED.get(description, '')}",
        "asks": [{"kind": "technology", "text": f"拋光液配方 {_PLANTED.get(ask, '')}"}],
        "confidentiality": "confidential",
        "confidential_reason": f"與客戶有約 {_PLANTED[f'{prefix}reason']}",
        "budget_ntd": NUMBERS[f"{prefix}budget"],
        **more,
    }
    key = {"Idempotency-Key": f"{latin('idempotency')}-{title}"}
    need_id = str(_done(server, "company", "POST", "/api/needs", json=need, headers=key)["id"])
    _exclude(server, need_id, _PLANTED[f"{prefix}excluded"])
    _done(server, "expert", "POST", f"/api/needs/{need_id}/take-up")
    return need_id


def _decided(server: Served, shown: dict[str, Any], note: str, **more: str) -> dict[str, Any]:
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"], "note": _PLANTED.get(note, ""), **more}
    return _done(server, "expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)


def _worked_on(server: Served, need_id: str) -> dict[str, list[str]]:
    page = _done(server, "expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100})
    shown = {item["lab_id"]: item for item in page["pairings"]}
    case_id = _decided(server, shown["lab-1-01"], "acceptnote")["case_id"]
    _decided(server, shown["lab-1-03"], "rejectnote", verdict="reject", reason="wrong_field")
    lost_id = _decided(server, shown["lab-1-02"], "")["case_id"]
    _done(server, "expert", "PUT", f"/api/pairings/{shown['lab-1-01']['pairing_id']}/release")
    talk = f"/api/pairings/{shown['lab-1-01']['pairing_id']}"
    not_wanted = {"word": "not_this_one", "reason": "other", "note": _PLANTED["companyanswer"]}
    _done(server, "company", "PUT", f"{talk}/answer", json=not_wanted)
    for number, move in (
        (case_id, {"stage": "introduced", "note": _PLANTED["casenote"]}),
        (lost_id, {"stage": "lost", "reason": "terms", "note": _PLANTED["lostnote"]}),
    ):
        _done(server, "expert", "POST", f"/api/cases/{number}/transition", json=move)
    declined = {"word": "declined", "reason": "other", "note": _PLANTED["labanswer"]}
    _done(server, "researcher", "PUT", f"{talk}/answer", json=declined)
    for who, audience, name in (
        ("company", "company", "companymessage"),
        ("expert", "lab", "labmessage"),
        ("researcher", "both", "bothmessage"),
        ("colleague", "internal", "internalnote"),
    ):
        said = {"audience": audience, "text": _PLANTED[name]}
        _done(server, who, "POST", f"{talk}/messages", json=said)
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    meeting = {"times": [soon], "place": _PLANTED["meetingplace"]}
    _done(server, "expert", "POST", f"{talk}/meetings", json=meeting)
    attached = _attached(server, need_id, shown["lab-1-01"]["pairing_id"])
    on = {"held_on": "2020-01-02", "next_on": "2020-01-03"}
    meeting = {"kind": "meeting", "note": _PLANTED["meetingnote"], "next_step": _PLANTED["nextstep"], **on}
    _done(server, "expert", "POST", f"/api/cases/{case_id}/contacts", json=meeting)
    call = {"kind": "call", "note": _PLANTED["callnote"], "next_step": _PLANTED["callstep"], **on}
    _done(server, "expert", "POST", "/api/companies/co-1-1/contacts", json=call)
    asked = {"ask": 1, "text": f"請問 {_PLANTED['labasked']}", "confirmed": True}
    question_id = _done(server, "expert", "POST", f"{talk}/lab-questions", json=asked)["items"][0]["id"]
    word = {"word": "text", "note": _PLANTED["labword"]}
    _done(server, "researcher", "PUT", f"/api/lab-questions/{question_id}/answer", json=word)
    pairings = [str(shown[f"lab-1-0{number}"]["pairing_id"]) for number in (1, 2, 3, 4)]
    cases = [str(case_id), str(lost_id)]
    return {"need_id": [need_id], "pairing_id": pairings, "case_id": cases, "attachment_id": attached} | {
        "question_id": [str(question_id)]
    }


def _attached(server: Served, need_id: str, pairing_id: int) -> list[str]:
    """Let files be attached to the need, and in its conversation; return their numbers."""
    talk = {"pairing": pairing_id}
    places: dict[str, tuple[str, dict[str, Any]]] = {
        "needfile": ("company", {"need": need_id}),
        "labfile": ("researcher", {**talk, "audience": "lab"}),
        "internalfile": ("colleague", {**talk, "audience": "internal"}),
    }
    found = []
    for name, (who, to) in places.items():
        sent = {"params": {"name": f"{_PLANTED[name + 'name']}.txt", **to}, "content": _PLANTED[name].encode()}
        found.append(str(_done(server, who, "POST", "/api/attachments", **sent)["id"]))
    return found


def _listed(server: Served, need_id: str) -> dict[str, list[str]]:
    """Let a lab be put before the company, on paper."""
    body = {"labs": ["lab-1-01"], "words": _PLANTED["shortlistwords"]}
    return {"shortlist_id": [str(_done(server, "expert", "POST", f"/api/needs/{need_id}/shortlists", json=body)["id"])]}


def _judged(server: Served, need_id: str) -> dict[str, list[str]]:
    """Let two people be asked to judge the need, of whom one has begun."""
    judges = [server.accounts[who] for who in ("expert", "colleague")]
    body = {"judges": judges, "needs": [need_id], "depth": 2, "name": "抽查"}
    path = f"/api/judgings/{_done(server, 'office', 'POST', '/api/judgings', json=body)['id']}"
    first = _done(server, "expert", "GET", path)["yours"]["first_open"]
    word = {"grade": 2, "note": _PLANTED["judgenote"]}
    _done(server, "expert", "POST", f"{path}/pairs/{first}/grade", json=word)
    return {"judging_id": [path.rpartition("/")[2]], "judged_pair_id": [str(first), str(first + 1)]}


def _shared(server: Served) -> tuple[str, str]:
    shared_id = _submitted(server, "sharedtitle")
    consent = {"alliance": "al-b", "consent": _PLANTED["consent"]}
    _done(server, "expert", "POST", f"/api/needs/{shared_id}/shares", json=consent)
    page = _done(server, "expert", "GET", f"/api/needs/{shared_id}/matches", params={"top": 2})
    _decided(server, page["pairings"][0], "ownnote", verdict="reject", reason="budget")
    closing = {"state": "closed", "note": _PLANTED["closingnote"]}
    _done(server, "expert", "POST", f"/api/needs/{shared_id}/state", json=closing)
    return shared_id, str(page["pairings"][0]["pairing_id"])


def _credentials(server: Served) -> tuple[list[str], list[str]]:
    """Sign in and out and in again; return the sessions' tokens and their CSRF tokens."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        stored = hash_password(PASSWORD)
        set_password_hash(session, account_id=server.accounts["expert"], stored=stored, now=now)
    engine.dispose()
    wrong = {"email": "expert@example.org", "password": latin("wrongpassword")}
    assert server.ask(None, "POST", "/api/session", json=wrong).status_code == 401
    right = {"email": "expert@example.org", "password": PASSWORD}
    answers = [server.ask(None, "POST", "/api/session", json=right) for _ in range(2)]
    tokens = [answer.headers["Set-Cookie"].partition(f"{COOKIE}=")[2].partition(";")[0] for answer in answers]
    csrf_tokens = [str(answer.json()["csrf_token"]) for answer in answers]
    cookie = {"Cookie": f"{COOKIE}={tokens[0]}", "X-CSRF-Token": csrf_tokens[0]}
    assert server.ask(None, "DELETE", "/api/session", headers=cookie).status_code == 204
    assert all(len(token) > 40 for token in (*tokens, *csrf_tokens))
    return tokens, csrf_tokens


def _handles(server: Served) -> list[str]:
    """Return what the expert's open sessions are called in addresses, where their tokens are not to be."""
    engine = open_engine(server.settings)
    with reading(engine) as session:
        found = open_sessions(session, account_id=server.accounts["expert"], now=datetime.now(UTC))
        handles = [one.handle for one in found]
    engine.dispose()
    assert handles
    return handles


def _lab_and_stake(server: Served) -> None:
    etag = server.ask("researcher", "GET", "/api/labs/lab-1-01").headers["ETag"]
    change = {"will_not_do": [_PLANTED["willnot"]]}
    _done(server, "researcher", "PATCH", "/api/labs/lab-1-01", json=change, headers={"If-Match": etag})
    engine, now = open_engine(server.settings), datetime.now(UTC)
    company_id = latin("stake")
    with writing(engine) as session:
        import_rows(session, "companies", [{"id": company_id, "name": "丙公司"}])
        account_id = server.accounts["colleague"]
        declare_stake(session, account_id=account_id, party="company", party_id=company_id, now=now)
    engine.dispose()
