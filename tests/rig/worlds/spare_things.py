"""Records, mail and talks that nobody misses, for the routes that mend, stop, tell and answer.

In: a running server with everybody of `PEOPLE`. Out: by route the values that it can succeed with. What can be done
only once is there several times, so that each of those who may do it can try.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session

from api.letters.renewal import PURPOSE, PasswordRenewal
from api.letters.sending.composing import UNSUBSCRIBE
from api.letters.signed_links import LinkSigner
from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.vocabulary import Mendable
from matcher.mending.merging import merge
from matcher.mending.retiring import retire
from matcher.notices.kinds import NoticeKind
from matcher.notices.readers import MailAddress, Webhook, WebhookHost, renew_feed
from matcher.review.conversation.corrections import NeedWord, say_of_need
from matcher.review.desk.saved_views import SavedView
from matcher.review.people import add_account
from tests.rig.servers.served import Served

_NEED = {"title": "碳化矽拋光", "asks": [{"kind": "technology", "text": "提高研磨液移除速度"}]}
There = dict[str, dict[str, list[Any]]]
_DAY = timedelta(days=1)
_PICTURE = b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="90" height="90">'
    b'<rect width="9" height="9"/></svg>'
).decode()


def spare_things(session: Session, server: Served, guest: str, each: int, now: datetime) -> There:
    """Store them; `guest` is an account that nobody misses, `each` how often there is what is done once."""
    return _mended(session, each, now) | _mail(session, server, guest, each, now)


def _mended(session: Session, each: int, now: datetime) -> There:
    there: There = {}
    # In the middle of all ids: the first and the last are those that anybody may meet.
    of = {
        Mendable.LAB: ("lab-1-10", "labs", "lab_id", {"school": "ysu", "pi_name": "王大明"}),
        Mendable.COMPANY: ("co-1-4", "companies", "company_id", {}),
        Mendable.NEED: ("need-1-10", "needs", "need_id", {"company": "co-1-1", "title": "備用需求"}),
        Mendable.SCHOOL: ("school", "schools", "school_id", {}),
    }
    for kind, (beginning, kinds, parameter, more) in of.items():
        named = {} if kind is Mendable.NEED else {"name": "備用"}
        ids = {
            what: [f"{beginning}-spare-{what}-{number}" for number in range(each)]
            for what in ("use", "retired", "gone", "merged", "kept")
        }
        import_rows(session, kinds, [{"id": one, **named, **more} for several in ids.values() for one in several])
        for one in ids["retired"]:
            retire(session, kind=kind, record_id=one, reason="停用", by=None, now=now)
        there[f"POST /api/{kinds}/{{{parameter}}}/retire"] = {parameter: ids["use"], "since": [None]}
        there[f"POST /api/{kinds}/{{{parameter}}}/reinstate"] = {parameter: ids["retired"]}
        if kind is Mendable.NEED:
            continue
        kept = ids["kept"][:1]
        rows = [
            merge(session, kind=kind, gone_id=one, kept_id=kept[0], reason="同一", by=None, now=now)
            for one in ids["merged"][: each if kind is Mendable.COMPANY else 0]
        ]
        if rows:
            there["POST /api/merges/{merge_id}/undo"] = {"merge_id": [row.id for row in rows]}
            apart = {"kind": ["company"], "first": kept, "second": ids["kept"][1:]}
            there["POST /api/duplicates/apart"] = apart
        there[f"GET /api/{kinds}/{{{parameter}}}/merge"] = {parameter: ids["kept"][1:], "kept": kept}
        there[f"POST /api/{kinds}/{{{parameter}}}/merge"] = {parameter: ids["gone"], "kept": kept}
    return there | _parts(session, each, now) | _schools(session, each, now)


def _parts(session: Session, each: int, now: datetime) -> There:
    """Pieces of evidence of a lab, and accounts, of which some are retired."""
    lab_id, pieces = "lab-1-10-spare-kept-0", [f"piece-{number}" for number in range(2 * each)]
    rows = [{"id": one, "lab": lab_id, "kind": "paper", "title": "備用論文"} for one in pieces]
    import_rows(session, "evidence", rows)
    people = [add_account(session, email=f"spare-{n}@example.org", name="", now=now).id for n in range(3 * each + 2)]
    for piece in pieces[each:]:
        retire(session, kind=Mendable.EVIDENCE, record_id=lab_id, part=piece, reason="停用", by=None, now=now)
    for person in people[each : 2 * each]:
        retire(session, kind=Mendable.PERSON, record_id=person, reason="停用", by=None, now=now)
    of_lab, of_account = "/api/labs/{lab_id}/evidence", "/api/accounts/{account_id}"
    return {
        f"POST {of_lab}/retire": {"lab_id": [lab_id], "piece": pieces[:each], "since": [None]},
        f"POST {of_lab}/reinstate": {"lab_id": [lab_id], "piece": pieces[each:]},
        f"POST {of_account}/retire": {"account_id": people[:each], "since": [None]},
        f"POST {of_account}/reinstate": {"account_id": people[each : 2 * each]},
        f"GET {of_account}/merge": {"account_id": people[-1:], "kept": people[-2:-1]},
        f"POST {of_account}/merge": {"account_id": people[2 * each : -2], "kept": people[-2:-1]},
    }


def _schools(session: Session, each: int, now: datetime) -> There:
    """Schools of their own, with a lab each that may go."""
    schools = [f"school-spare-divided-{number}" for number in range(each)]
    import_rows(session, "schools", [{"id": one, "name": "備用大學"} for one in schools])
    lab = {"name": "備用實驗室", "pi_name": "王大明"}
    import_rows(session, "labs", [{"id": f"lab-1-10-{one}", "school": one, **lab} for one in schools])
    today = (now + timedelta(hours=8)).date().isoformat()
    path = "/api/schools/{school_id}"
    return {
        f"GET {path}/on": {"school_id": schools, "day": [today]},
        f"POST {path}/rename": {"school_id": schools, "name": ["改名大學"], "since": [today]},
        f"POST {path}/divide": {
            "school_id": schools[:1],
            "to": schools[1:2],
            "labs": [[f"lab-1-10-{schools[0]}"]],
            "since": [today],
        },
    }


def _mail(session: Session, server: Served, guest: str, each: int, now: datetime) -> There:
    """Addresses that refuse mail, hosts and webhooks, and what letters to the guest open."""
    addresses = [f"refused-{number}@example.org" for number in range(each)]
    for address in addresses:
        session.add(MailAddress(address=address, refused_at=now, said="550"))
    by = server.accounts["office"]
    hosts = ["hooks.example.org", *(f"hooks-{number}.example.org" for number in range(each))]
    for host in hosts:
        session.add(WebhookHost(host=host, allowed_by=by, allowed_at=now))
    hooks, views = [], []
    for account_id in server.accounts.values():
        hook = Webhook(account_id=account_id, url=f"https://{hosts[0]}/", kinds=[], nonce="n", made_at=now)
        session.add(hook)
        session.flush()
        hooks.append(hook.id)
        view = SavedView(account_id=account_id, page="needs", name="n", query="", at=now)
        session.add(view)
        session.flush()
        views.append(view.id)
    signer = LinkSigner(server.settings.home)
    stop = {"reader": guest, "kind": NoticeKind.NEED_ENDED.value}
    stops = [signer.token(UNSUBSCRIBE, stop, now=now, holds_for=_DAY)]
    # Only the newest opens, once.
    asked = PasswordRenewal(id="renewal", address="guest@example.org", asked_from="", asked_at=now, looked_up_at=now)
    asked.account_id = guest
    session.add(asked)
    renewal = signer.token(PURPOSE, {"renewal": asked.id}, now=now, holds_for=_DAY)
    return {
        "DELETE /api/mail/addresses/{mail_address}": {"mail_address": addresses},
        "DELETE /api/webhook-hosts/{webhook_host}": {"webhook_host": hosts[1:]},
        "POST /api/webhook-hosts": {"host": ["further.example.org"]},
        "POST /api/me/webhooks": {"url": [f"https://{hosts[0]}/gloria"], "kinds": [[]]},
        "DELETE /api/me/webhooks/{webhook_id}": {"webhook_id": hooks},
        "DELETE /api/saved-views/{view_id}": {"view_id": views},
        "POST /api/saved-views": {"page": ["needs"], "name": ["n", "m"], "query": ["state=submitted"]},
        "GET /feed/{secret}.atom": {"secret": [renew_feed(session, account_id=guest, now=now)]},
        "POST /api/mail/unsubscribe/{token}": {"token": stops},
        "DELETE /api/mail/unsubscribe/{token}": {"token": stops},
        "POST /api/password-renewals": {"email": ["guest@example.org"]},
        "POST /api/password-renewals/{token}": {"token": [renewal], "new": ["correct horse battery"]},
    }


def talks(server: Served) -> There:
    """Let al-a and a company talk of a need, which the company corrects, and let meetings be proposed."""
    asked = server.ask("company", "POST", "/api/needs", json=_NEED).json()["id"]
    _did(server, "expert", "POST", f"/api/needs/{asked}/take-up")
    shown = _did(server, "expert", "GET", f"/api/needs/{asked}/matches?top=100")["pairings"]
    # The one whose researcher is here, and others.
    shown.sort(key=lambda one: one["lab_id"] != "lab-1-01")
    meetings, pairings, cases = [], [], []
    times = [(datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (3, 4)]
    for number, one in enumerate(shown[:9]):
        path = f"/api/pairings/{one['pairing_id']}"
        word = {"verdict": "accept", "proposal_id": one["proposal_id"]}
        case_id = _did(server, "expert", "POST", f"{path}/decision", json=word)["case_id"]
        _did(server, "expert", "PUT", f"{path}/release")
        pairings.append(one["pairing_id"])
        if number == 8:
            # Once a lab is introduced, the company's word was acted on.
            break
        _did(server, "expert", "POST", f"/api/cases/{case_id}/transition", json={"stage": "introduced"})
        made = _did(server, "expert", "POST", f"{path}/meetings", json={"times": times, "place": "A"})
        meetings.append(made["id"])
        cases.append(case_id)
    agreed = [meetings[2], *meetings[6:]]
    for meeting_id in agreed:
        _did(server, "company", "POST", f"/api/meetings/{meeting_id}/acceptance", json={"starts_at": times[0]})
    # Some that the company took up and may take back: whoever moves one first leaves the others.
    for meeting_id in meetings[3:6]:
        _did(server, "company", "POST", f"/api/meetings/{meeting_id}/acceptance", json={"starts_at": times[0]})
    listed = {"labs": [one["lab_id"] for one in shown[:2]], "words": ""}
    shortlist_id = _did(server, "expert", "POST", f"/api/needs/{asked}/shortlists", json=listed)["id"]
    links = [
        _did(server, "expert", "POST", f"/api/shortlists/{shortlist_id}/links", json={"days": 7})["id"]
        for _ in range(5)
    ]
    files = [
        _did(
            server, "expert", "POST", "/api/attachments", params={"name": f"{n}.txt", "need": asked}, content=b"%d" % n
        )["id"]
        for n in range(5)
    ]
    body = {"ask": 1, "text": "請問貴實驗室有無佐證", "confirmed": True}
    questions = [
        _did(server, "expert", "POST", f"/api/pairings/{pairings[0]}/lab-questions", json={**body, "text": f"{n}"})[
            "items"
        ][0]["id"]
        for n in ("甲", "乙", "丙", "丁")
    ]
    for question in questions[1:]:
        work = {"word": "evidence", "title": f"備用計畫 {question}", "kind": "project"}
        _did(server, "researcher", "PUT", f"/api/lab-questions/{question}/answer", json=work)
    engine = open_engine(server.settings)
    with writing(engine) as session:
        word_id = _word_of(session, asked)
    engine.dispose()
    drawn: dict[str, list[Any]] = {"content": [_PICTURE]}
    answered = [{"topic": "data", "degree": 2}]
    body = {"held_on": "2026-12-15", "answers": answered}
    visits = [_did(server, "expert", "POST", "/api/companies/co-1-1/visits", json=body)["id"] for _ in range(6)]
    _did(server, "lead", "PUT", "/api/alliances/al-a/logo", json={"content": _PICTURE})
    _did(server, "researcher", "PUT", "/api/labs/lab-1-01/photo", json={"content": _PICTURE})
    of, colleagues = "/api/pairings/{pairing_id}", [server.accounts[one] for one in ("expert", "colleague", "lead")]
    mine, at = {"pairing_id": pairings[3:4]}, "/api/meetings/{meeting_id}"
    return {
        f"POST {at}/acceptance": {"meeting_id": meetings[:1], "starts_at": times[:1]},
        f"POST {at}/calling-off": {"meeting_id": meetings[1:2]},
        f"POST {at}/taking-back": {"meeting_id": meetings[3:6]},
        f"PUT {at}/place": {"meeting_id": agreed, "place": ["B"]},
        f"POST {of}/meetings": {**mine, "times": [times], "minutes": [30], "place": [""]},
        f"GET {of}/meetings": mine,
        f"GET {of}/conversation": mine,
        f"GET {of}/near-misses": mine,
        f"POST {of}/lab-questions": {
            "pairing_id": pairings[:1],
            "ask": [1],
            "words": [[]],
            "text": ["請問", "有無佐證", "是否做過"],
            "address": [None],
            "confirmed": [True],
        },
        "GET /api/labs/{lab_id}/questions": {"lab_id": ["lab-1-01"]},
        "PUT /api/lab-questions/{question_id}/answer": {"question_id": questions[:1], "word": ["none"]},
        "DELETE /api/lab-questions/{question_id}/answer": {"question_id": questions[1:2]},
        "POST /api/lab-questions/{question_id}/confirmation": {"question_id": questions[2:]},
        f"POST {of}/messages": {**mine, "audience": ["both"], "text": ["請問"]},
        f"POST {of}/invitations": {
            "pairing_id": pairings[8:],
            "side": ["company"],
            "address": ["contact@example.org"],
        },
        f"PUT {of}/answer": {"pairing_id": pairings[8:], "word": ["not_this_one"], "reason": ["other"], "note": ["x"]},
        f"DELETE {of}/answer": {"pairing_id": pairings[8:]},
        "POST /api/attachments": {
            "need": [asked],
            "pairing": [None],
            "audience": [None],
            "meeting": [None],
            "name": ["plan.pdf"],
        },
        f"GET {of}/attachments": mine,
        "GET /api/needs/{need_id}/attachments": {"need_id": [asked]},
        "GET /api/attachments/{attachment_id}": {"attachment_id": files[:1]},
        "DELETE /api/attachments/{attachment_id}": {"attachment_id": files[1:]},
        "DELETE /api/cases/{case_id}/introduction": {"case_id": cases[4:6]},
        "PUT /api/cases/{case_id}/expert": {"case_id": cases[6:], "expert": colleagues},
        "PUT /api/needs/{need_id}/expert": {"need_id": [asked], "expert": colleagues},
        "POST /api/needs/{need_id}/shortlists": {"need_id": [asked], "labs": [listed["labs"]], "words": [""]},
        "POST /api/needs/{need_id}/team": {
            "need_id": [asked],
            "members": [[{name: one[name] for name in ("pairing_id", "proposal_id")} for one in shown[7:9]]],
            "lead": pairings[8:],
        },
        "POST /api/needs": {"school": [None]},
        "GET /api/needs/{need_id}/chain": {"need_id": [asked], "lab": [None]},
        "PUT /api/needs/{need_id}/chain": {"need_id": [asked], "lab": [None], "companies": [["co-1-1"]]},
        "GET /api/companies/{company_id}/visits": {"company_id": ["co-1-1"]},
        "POST /api/companies/{company_id}/visits": {
            "company_id": ["co-1-1"],
            "answers": [answered],
            "held_on": ["2026-12-15"],
            "labs": [[]],
            "alliance": [None],
        },
        "GET /api/visits/{visit_id}": {"visit_id": visits[:1]},
        "GET /api/visits/{visit_id}/report": {"visit_id": visits[:1]},
        "PATCH /api/visits/{visit_id}": {
            "visit_id": visits[:1],
            "held_on": [None],
            "labs": [None],
            "agenda": [None],
            "findings": [{"data": "x"}],
            "next_steps": [None],
        },
        "POST /api/visits/{visit_id}/state": {"visit_id": visits[1:], "state": ["called_off"]},
        "POST /api/drafts": {"name": ["letter.txt"], "kind": ["need"]},
        # Of a company that nobody knows yet: one that is known may be retired before.
        "POST /api/drafts/needs": {
            "alliance": ["al-a"],
            "company": [None],
            "school": [None],
            "company_name": ["嶺風電力股份有限公司"],
            "tax_id": [None],
            "title": ["葉片每年冬天結冰"],
            "contact": [""],
        },
        "GET /api/alliances/{alliance_id}/logo": {"alliance_id": ["al-a"]},
        "PUT /api/alliances/{alliance_id}/logo": {"alliance_id": ["al-a"], **drawn},
        "GET /api/labs/{lab_id}/photo": {"lab_id": ["lab-1-01"]},
        "PUT /api/labs/{lab_id}/photo": {"lab_id": ["lab-1-01"], **drawn},
        "POST /api/labs/{lab_id}/works": {
            "lab_id": ["lab-1-01"],
            "work": [{"title": "碳化矽晶圓之化學機械拋光"}],
            "content": [None],
        },
        "DELETE /api/shortlists/{shortlist_id}/links/{link_id}": {"shortlist_id": [shortlist_id], "link_id": links},
        "POST /api/needs/{need_id}/confirmations": {"need_id": [asked], "address": ["contact@example.org"]},
        "GET /api/needs/{need_id}/words": {"need_id": [asked]},
        "POST /api/needs/{need_id}/agreed-version": {"need_id": [asked], "consent": ["電話同意"], "asks": [[]]},
        "POST /api/needs/{need_id}/words/{word_id}/settlement": {
            "need_id": [asked],
            "word_id": [word_id],
            "taken": [False],
        },
    }


def _word_of(session: Session, need_id: str) -> int:
    """Let a company correct its need by a link; return the word."""
    said = say_of_need(
        session,
        need_id=need_id,
        word=NeedWord.CORRECTED,
        before={"title": "碳化矽拋光"},
        after={"title": "碳化矽研磨"},
        reader="company@example.org",
        link="l-1",
        now=datetime.now(UTC),
    )
    return said.id or 0


def _did(server: Served, who: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.is_success, f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document
