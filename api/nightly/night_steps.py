"""The steps of the night: what each does, their order, and what each needs to have succeeded.

In: the night as one step sees it. Out: what the step came to, and one table of all steps. It exists so that what
depends on what is data that can be read, tested and shown: a step that fails stops only those that need it.

Records are changed only once there is a backup to go back to; old backups go only once tonight's was restored and
shown to work; the heads of a ledger are vouched for only if it was proved. Everything else stands alone. Files in the
drop folders stay where they are, since schools and alliances hand them over by putting them somewhere: one whose very
bytes were imported before is passed over, since it would undo what was changed since; one that was written to in the
last minute may not be complete and waits for the next night; one that can't be read is an error of its own and stops
no other; a value that was left out is named by its row and column, as a refused row is. An alliance's folder has the
rights of its expert (`api.access.ownership`): each row that was not its own is named, and a link in it is never
followed. After an older backup was restored, remove `nightly/imported.json` so that all files are imported again.

A new index is held against the current one before it takes its place, because nobody looks at what the night
publishes; one that was held back stops nothing, and the map is drawn from the one in use, from where it was.
Figures are held against the night before, so that one that moved unexpectedly is seen the next morning. The audit
trail is held against the heads that all earlier nights noted, because a chain whose end was cut off fits together
as well as before. A warning is only proposed: a person gives it. What is deleted may quote what somebody sent and
is of use for days only; facts are never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine
from sqlmodel import col, select

from api.access import credentials
from api.access.ownership import NotOwn, folder_of, import_portion
from api.backups.backup import back_up, prune
from api.backups.rehearsal import rehearse
from api.commands.matching import redrawn
from api.commands.reach import settled
from api.commands.refusals import refusal
from api.home import open_database, open_reading, open_session
from api.jobs import job_queue
from api.letters.renewal import forget_renewals
from api.letters.sending.bounced import read_returned
from api.letters.sending.delivering import Deliverer
from api.letters.sending.smtp import forget_files
from api.letters.telling import tell_of_due
from api.nightly.drop_folders import DropFolderError, Dropped, content_of, dropped_files
from api.nightly.report import report_the_night
from api.nightly.step import MOST_LISTED, Run, StepOutcome, StepWork
from api.requests import idempotency
from api.trail.audit_trail import AuditRow, verify_trail
from api.trail.nights import Said, StepState, forget_old_nights, night_ids, night_path, nights_path, read_nights
from indexer.database import writing
from indexer.disk import write_whole
from indexer.encoders.encoder import EncoderError, check_weights
from indexer.index.building import reindex
from indexer.index.generations import SnapshotError, kept_generations, verified_manifest
from indexer.plain_text import printable
from indexer.records.exchange import MODELS, RowProblem, costs_record
from indexer.records.importing import ImportReport
from indexer.records.readers import Reading, read_bytes
from indexer.records.record_tables import Alliance
from indexer.vocabulary import Kind
from indexer.wording import P_, T_, Text, joined, listed
from matcher.judging.champion.promotion import is_worth_learning, learn
from matcher.judging.quality_check import Comparison, QualityCheck
from matcher.ledger.figures.folds import Figures, Status, end_of, figures
from matcher.ledger.figures.ladder import FINDING_LABELS, FindingKind, findings, readings_on, standings
from matcher.ledger.figures.self_operation import operation_readings
from matcher.ledger.figures.waiting import WAITING_LABELS, office_counts
from matcher.ledger.proving.heads import HEADS_FILE, export_heads, key_of, read_heads, signed_heads
from matcher.ledger.proving.stamps import StampError, stamped
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.chain import LEDGER_CHAINS
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.evidence import forget_waiting
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.notices.sending import forget as forget_notices
from matcher.review.conversation.attachments import forget_strays
from matcher.review.desk.reminders import REMINDER_LABELS, reminders, totals


def make_backup(work: StepWork) -> StepOutcome:
    """Back up database, index pointer, evidence and heads."""
    made = back_up(work.settings)
    figures = {"files": made.files, "bytes": made.bytes}
    problem = made.index_problem
    said = None if problem is None else Said.of(T_("without the index: %(problem)s", problem=problem))
    return StepOutcome(figures, said, {"name": made.path.name, "path": str(made.path)})


def rehearse_restore(work: StepWork) -> StepOutcome:
    """Restore tonight's backup into a scratch folder and try it out."""
    rehearsal = rehearse(work.settings, Path(work.night.step("backup").details["path"]))
    checks = rehearsal.as_dict()["checks"]
    failed = [one for one in rehearsal.checks if not one.passed]
    figures = {"checks": len(checks), "failed": len(failed)}
    if rehearsal.passed:
        return StepOutcome(figures, details={"checks": checks})
    wrong = joined("; ", [T_("%(check)s: %(detail)s", check=one.label, detail=one.detail) for one in failed])
    said = Said.of(T_("the backup could not be restored in the rehearsal: %(wrong)s", wrong=wrong))
    return StepOutcome(figures, said, {"checks": checks}, StepState.FAILED)


def prune_backups(work: StepWork) -> StepOutcome:
    """Remove the oldest backups."""
    removed = prune(work.settings, keep=work.settings.backups_kept)
    return StepOutcome({"kept_at_most": work.settings.backups_kept, "removed": len(removed)})


IMPORTED = "imported.json"
MOST_ROWS = 1_000
"""So many rows of a file that were not its folder's own are named; all are counted."""
RECORDS_PER_PART = 200
"""So many records are one transaction, so that a live service waits for its turn to write only shortly."""
WAIT_S = 60.0
_COUNTS = ("created", "updated", "unchanged", "refused")


def import_dropped(work: StepWork) -> StepOutcome:
    """Import the files that are new."""
    folders = work.settings.watched_folders()
    if not folders:
        return StepOutcome({"folders": 0}, Said.of(T_("no drop folder is configured")))
    problems, dropped = dropped_files(folders)
    known = _known(work)
    files: list[dict[str, Any]] = []
    with open_database(work.settings) as engine:
        for n, one in enumerate(dropped):
            work.tell("import", n, len(dropped))
            found = _imported(engine, one, known, work)
            files.append({"file": printable(one.path.name), "alliance": one.alliance_id, **found})
    work.tell("import", len(dropped), len(dropped))
    unreadable = [one["file"] for one in files if one["state"] == "failed"]
    not_own = sum(int(one.get("not_own_rows", 0)) for one in files)
    counts = {name: sum(int(one.get(name, 0)) for one in files if one["state"] == "imported") for name in _COUNTS}
    states = {
        f"files_{state}": sum(one["state"] == state for one in files) for state in ("imported", "same", "waiting")
    }
    figures = {"folders": len(folders), **states, "files_failed": len(unreadable), **counts, "not_own": not_own}
    said = _said(len(unreadable), len(problems), counts["refused"], files)
    state = StepState.FAILED if unreadable or problems else StepState.DONE
    return StepOutcome(figures, said, {"files": files, "folders": problems}, state)


def _said(unreadable: int, folders: int, refused: int, files: list[dict[str, Any]]) -> Said | None:
    told = []
    if folders:
        told.append(T_("folders that can't be read: %(n)s", n=folders))
    if unreadable:
        told.append(T_("files that can't be imported: %(n)s", n=unreadable))
    if refused:
        told.append(T_("rows refused: %(n)s", n=refused))
    rows = [f"{one['file']}:{row['row']} {row['id']}" for one in files for row in one.get("not_own", ())]
    if rows:
        named = ", ".join(rows[:MOST_LISTED]) + (" …" if len(rows) > MOST_LISTED else "")
        told.append(T_("rows that were not the folder's own: %(rows)s", rows=named))
    return Said.of(listed(told)) if told else None


def _imported(engine: Engine, one: Dropped, known: dict[str, Any], work: StepWork) -> dict[str, Any]:
    """Import one file, and keep in mind that it was."""
    try:
        content = content_of(one.path)
        if content is None:
            return {"state": "waiting"}
        digest = sha256(f"{one.alliance_id or ''}\n".encode() + content).hexdigest()
        if digest in known:
            return {"state": "same", "imported_at": known[digest]["at"], "refused": known[digest]["refused"]}
        found = read_bytes(content, one.path.name)
        if _is_unreadable(found):
            return {"state": "failed", "why": _places(found.problems)}
        reports, not_own = [], []
        for report, left_out in _stored(engine, found, one, work):
            reports.append(report)
            not_own += left_out
    except DropFolderError as error:
        return {"state": "failed", "why": [str(error)]}
    except Exception as error:
        # Whatever a file does to us, it is that file's; a message that nobody foresaw may quote it.
        told = refusal(error)
        why = f"a fault of ours ({type(error).__name__})" if told is None else told.message
        return {"state": "failed", "why": [why]}
    problems = [problem for part in found.all() for problem in part.problems]
    problems += [problem for report in reports for problem in report.problems]
    counts = {name: sum(getattr(report, name) for report in reports) for name in _COUNTS[:3]}
    refused = sum(part.refused for part in found.all()) + sum(report.refused for report in reports)
    _keep(work, known, digest, {"file": one.path.name, "at": work.now.isoformat(), "refused": refused})
    kinds = [part.kind for part in found.all() if part.kind is not None]
    costly = [problem for problem in problems if problem.severity == "error"]
    costly += [problem for problem in problems if _costs_a_cell(problem, kinds)]
    listed = {"problems": _places(costly[:MOST_LISTED]), "problems_left_out": max(0, len(costly) - MOST_LISTED)}
    rows = [{"row": row.row, "id": printable(row.id)} for row in not_own[:MOST_ROWS]]
    others = {"not_own": rows, "not_own_rows": len(not_own)}
    return {"state": "imported", "kind": str(found.kind), **counts, "refused": refused, **others, **listed}


def _is_unreadable(found: Reading) -> bool:
    """Whether nothing came of a file because of the file itself, not of its rows."""
    whole = [problem for problem in found.problems if problem.severity == "error" and problem.row == 0]
    return found.kind is None or bool(whole and not found.records and not found.evidence)


def _stored(
    engine: Engine, found: Reading, one: Dropped, work: StepWork
) -> Iterator[tuple[ImportReport, list[NotOwn]]]:
    for portion in (part for each in found.all() for part in each.portions(RECORDS_PER_PART)):
        # Its problems and refused rows are counted once, with the file.
        with writing(engine, deadline_s=WAIT_S) as session:
            done = import_portion(session, portion, folder_of(one.alliance_id), name=one.path.name, now=work.now)
        yield done


def _costs_a_cell(problem: RowProblem, kinds: list[Kind]) -> bool:
    """Whether a warning is of a row's own value that was left out; others name headings, which are the file's words."""
    name = problem.field.partition("[")[0]
    is_a_value = problem.row > 0 and not costs_record(name)
    return problem.severity == "warning" and is_a_value and any(name in MODELS[kind].model_fields for kind in kinds)


def _places(problems: list[RowProblem]) -> list[str]:
    """Name places and what would be right; what is wrong may quote the file."""
    told = []
    for problem in problems:
        place = f"{problem.file}:{problem.row}" if problem.row else problem.file
        told.append(f"{place} {problem.field}".strip() + f": {problem.right}")
    return told


def _known(work: StepWork) -> dict[str, Any]:
    try:
        known: dict[str, Any] = orjson.loads((nights_path(work.settings.home) / IMPORTED).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        # Importing again changes nothing that was not changed since.
        return {}
    return known


def _keep(work: StepWork, known: dict[str, Any], digest: str, said: dict[str, Any]) -> None:
    known[digest] = said
    write_whole(nights_path(work.settings.home) / IMPORTED, orjson.dumps(known, option=orjson.OPT_INDENT_2))


def update_index(work: StepWork) -> StepOutcome:
    """Encode what changed and publish, if the new generation is no worse than the current one."""
    with open_session(work.settings) as session:
        check = QualityCheck(session, work.settings)
        report = reindex(session, work.settings, progress=work.tell, judge=check)
    names = ("changed", "labs", "needs", "passages", "reused", "encoded", "dropped", "encoding_s", "peak_memory_mb")
    said = report.as_dict()
    figures = {name: said[name] for name in names}
    details = {
        "generation": report.generation,
        "comparison": None if check.comparison is None else _told(check.comparison),
    }
    if report.held_back is None:
        return StepOutcome(figures, details=details)
    message = Said.of(
        T_(
            "the new generation %(generation)s is held back: %(held_back)s",
            generation=report.generation,
            held_back=report.held_back,
        )
    )
    return StepOutcome(figures, message, details, StepState.HELD)


def _told(found: Comparison) -> dict[str, Any]:
    changed = {need_id: round(change, 4) for need_id, change in found.differences.items() if abs(change) > 1e-9}
    return {
        "basis": found.basis,
        "not_compared": found.not_compared,
        "needs": found.needs,
        "ndcg_before": found.before,
        "ndcg_now": found.now,
        "upper_end": found.upper,
        "canaries": found.canaries,
        "lost": [
            {"need": one.need_id, "lab": one.lab_id, "before": one.before, "now": one.now}
            for one in found.lost[:MOST_LISTED]
        ],
        "missing_labs": list(found.missing[:MOST_LISTED]),
        "differences": dict(list(changed.items())[:MOST_LISTED]),
    }


def draw_map(work: StepWork) -> StepOutcome:
    """Lay labs and needs out in two dimensions, each near where it was."""
    said = redrawn(work.settings).as_dict()
    names = ("changed", "labs", "needs", "new", "without_place", "open_needs")
    figures = {name: said[name] for name in names} | {"unmet": len(said["unmet"])}
    return StepOutcome(figures, details={"generation": said["generation"]})


def learn_from_decisions(work: StepWork) -> StepOutcome:
    """Compute a challenger to the ranker in use, once there are enough new decisions; nobody's ranking changes."""
    with open_reading(work.settings) as session:
        if not is_worth_learning(session, work.settings):
            return StepOutcome({"challengers": 0})
        found = learn(session, work.settings)
    version, verdict = found.version, found.verdict
    decisions, details = found.learned_from["decisions"], {"version": version, "comparison": verdict.as_dict()}
    better = int(version is not None and verdict.passed)
    figures = {"challengers": int(version is not None), "decisions": decisions, "better_challengers": better}
    said = Said.of(T_("%(version)s is better and may be promoted: gloria learn --promote", version=version))
    return StepOutcome(figures, said if better else None, details)


FIGURES_FILE = "figures.json"
SHOWN = (Status.ACTUAL, Status.IN_REVIEW)

Amounts = dict[str, dict[str, dict[str, int]]]
"""Units × basis points by alliance, figure and status."""


def take_down_figures(work: StepWork) -> StepOutcome:
    """Fold the ledger, keep the sums with the night, and compare them with the last ones.

    What was seen of whom is a figure too: the rule of reach goes by last night's from now on, where the office set one.
    """
    settled(work.settings)
    with open_reading(work.settings) as session:
        amounts = _amounts(figures(session, as_of=end_of(work.today)))
    write_whole(work.folder / FIGURES_FILE, orjson.dumps({"day": work.today, "amounts": amounts}))
    day, before = _earlier(work)
    rows = _rows(amounts, before)
    changed = sum(1 for row in rows if row["change"] not in (None, 0))
    return StepOutcome(
        {"alliances": len(amounts), "rows": len(rows), "changed": changed}, details={"since": day, "rows": rows}
    )


def _amounts(folded: Figures) -> Amounts:
    found: Amounts = {}
    for alliance in folded.alliances():
        of_alliance = {}
        for kpi in Kpi:
            sums = {status.value: folded.amount_bp(kpi, alliance=alliance, status=status) for status in Status}
            if any(sums.values()):
                of_alliance[kpi.value] = sums
        found[alliance] = of_alliance
    return found


def _earlier(work: StepWork) -> tuple[str | None, Amounts | None]:
    """Return the day and the sums of the last night that took them down."""
    for night_id in night_ids(work.settings.home):
        if night_id == work.night.id:
            continue
        try:
            kept = orjson.loads((night_path(work.settings.home, night_id) / FIGURES_FILE).read_bytes())
            return kept["day"], kept["amounts"]
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            continue
    return None, None


def _rows(amounts: Amounts, before: Amounts | None) -> list[dict[str, Any]]:
    """Return a row for each figure of each alliance that is there, or was."""
    rows = []
    for alliance in sorted({*amounts, *(before or {})}):
        now, then = amounts.get(alliance, {}), (before or {}).get(alliance, {})
        for kpi in Kpi:
            if kpi.value not in now and kpi.value not in then:
                continue
            sums, old = now.get(kpi.value, {}), then.get(kpi.value, {})
            zh, en = KPI_FACTS[kpi].label.both
            row: dict[str, Any] = {"alliance": alliance, "kpi": kpi.value, "zh": zh, "en": en}
            row |= {status.value: _units(sums.get(status.value, 0)) for status in SHOWN}
            actual = Status.ACTUAL.value
            row["change"] = None if before is None else _units(sums.get(actual, 0) - old.get(actual, 0))
            rows.append(row)
    return rows


def _units(amount_bp: int) -> int | float:
    """Return an amount in the figure's own unit; an alliance's share of one may be a fraction."""
    whole, rest = divmod(amount_bp, WHOLE_BP)
    return amount_bp / WHOLE_BP if rest else whole


def propose_warnings(work: StepWork) -> StepOutcome:
    """Read every alliance's targets against their pace."""
    with open_reading(work.settings) as session:
        alliances = list(session.exec(select(Alliance.id).order_by(col(Alliance.id))).all())
        book, read = readings_on(session, alliances, work.today)
        standing = standings(session, as_of=end_of(work.today), alliances=alliances)
        found = findings(read, standing, work.today, operation_readings(session, alliances, work.today))
    counts = {one.value: sum(item.finding is one for item in found) for one in FindingKind}
    listed = [
        {
            "alliance": one.alliance,
            "kpi": one.kpi.value,
            "finding": one.finding.value,
            "zh": FINDING_LABELS[one.finding].zh,
            "en": FINDING_LABELS[one.finding].en,
        }
        for one in found[:MOST_LISTED]
    ]
    return StepOutcome({"alliances": len(alliances), **counts}, details={"book": book, "findings": listed})


def count_reminders(work: StepWork) -> StepOutcome:
    """Count what waits, by alliance, and for the programme office."""
    with open_reading(work.settings) as session:
        counts = reminders(session, now=work.now)
        of_office = office_counts(session, work.now)
    rows = [
        _reminder(alliance, one.value, REMINDER_LABELS[one], n)
        for alliance, of_alliance in counts.items()
        for one, n in of_alliance.items()
    ]
    rows += [_reminder("", kind.value, WAITING_LABELS[kind], n) for kind, n in of_office.items() if n]
    office = {kind.value: n for kind, n in of_office.items()}
    return StepOutcome({**totals(counts), **office}, details={"rows": rows})


def _reminder(alliance: str, kind: str, label: Text, n: int) -> dict[str, Any]:
    return {"alliance": alliance, "reminder": kind, "zh": label.zh, "en": label.en, "n": n}


def tell_what_is_due(work: StepWork) -> StepOutcome:
    """Tell experts of next steps whose day has come, read what mail came back, and send what waits.

    What waits is sent here for a home whose server does not run.
    """
    with open_database(work.settings) as engine:
        with writing(engine, deadline_s=WAIT_S) as session:
            due = tell_of_due(session, now=work.now)
        back = read_returned(engine, work.settings, now=work.now)
        done = Deliverer(engine, work.settings).deliver()
    figures = {"due": due, "mailed": done.sent, "mail_refused": done.refused, "mail_waiting": done.waiting}
    figures["mail_returned"] = back.letters
    problem = None if done.problem is None else Said.of(T_("mail waits: %(problem)s", problem=done.problem))
    if problem is None and back.problem is not None:
        problem = Said.of(T_("mail that came back can't be read: %(problem)s", problem=back.problem))
    return StepOutcome(figures, problem)


def prove_ledger(work: StepWork) -> StepOutcome:
    """Look at every row, and compare the chains with the heads of all nights before."""
    home = work.settings.home
    exported = read_heads(home / HEADS_FILE)
    with open_reading(work.settings) as session:
        verdict = verify(session, home=home, exported=exported)
    found = len(verdict.findings)
    figures = {"entries": verdict.entries, "steps": verdict.steps, "heads_compared": len(exported), "findings": found}
    if not found:
        return StepOutcome(figures)
    listed = [{"check": one.check, "place": one.place, "message": _short(one.message)} for one in verdict.findings]
    said = Said.of(T_("the ledger does not fit together: %(found)s findings", found=found))
    return StepOutcome(figures, said, {"findings": listed[:MOST_LISTED]}, StepState.FAILED)


def _short(message: str) -> str:
    """Leave out what a driver says of a value that can't be read: it quotes it."""
    return message.partition("(")[0].strip() if "can't be read" in message else message


def write_heads(work: StepWork) -> StepOutcome:
    """Write the heads of all chains down beside the database, and sign them for the mail: those prove something."""
    settings = work.settings
    key = key_of(settings)
    with open_reading(settings) as session:
        heads = export_heads(session, settings.home / HEADS_FILE, work.now)
        stamp = partial(stamped, url=settings.stamp_url) if settings.stamp_url else None
        problem = None
        try:
            signed = signed_heads(session, key, work.now, stamp)
        except StampError as error:
            signed = signed_heads(session, key, work.now)
            problem = Said.of(T_("the heads are signed, not stamped: %(error)s", error=error))
    details = {"heads": [asdict(one) for one in heads], "signed": signed}
    return StepOutcome({one.chain: one.n for one in heads if one.chain in LEDGER_CHAINS}, problem, details)


AUDIT_STEP = "audit"


def prove_audit_trail(work: StepWork) -> StepOutcome:
    """Recompute every row, and look for the last rows of all nights before."""
    noted = _noted_heads(work)
    with open_reading(work.settings) as session:
        verdict = verify_trail(session)
        kept = {n: row.hash for n in noted if (row := session.get(AuditRow, n)) is not None}
    gone = [n for n, value in sorted(noted.items()) if kept.get(n) != value]
    findings = [*verdict.findings, *(f"row {n} is not the one that an earlier night noted" for n in gone)]
    figures = {"rows": verdict.rows, "heads_compared": len(noted), "findings": len(findings)}
    if not findings:
        return StepOutcome(figures, details={"head": {"n": verdict.rows, "hash": verdict.head}})
    said = Said.of(T_("the audit trail does not fit together: %(n_findings)s findings", n_findings=len(findings)))
    return StepOutcome(figures, said, {"findings": findings[:MOST_LISTED]}, StepState.FAILED)


def _noted_heads(work: StepWork) -> dict[int, str]:
    """Return number and hash of the last row of each night that is kept; nights of an empty trail noted none."""
    heads = [
        step.details["head"]
        for night in read_nights(work.settings.home)
        for step in night.steps
        if step.name == AUDIT_STEP and "head" in step.details
    ]
    return {head["n"]: head["hash"] for head in heads if head["n"]}


def compare_files(work: StepWork) -> StepOutcome:
    """Compare the encoders' weights and the kept generations of the index with what they were when they were made."""
    wrong = [*_changed_weights(work), *_changed_generations(work)]
    figures = {"generations": len(kept_generations(work.settings.index_path)), "findings": len(wrong)}
    if not wrong:
        return StepOutcome(figures)
    said = Said.of(T_("files are not what was written: %(n)s; run: gloria doctor", n=len(wrong)))
    return StepOutcome(figures, said, {"findings": wrong[:MOST_LISTED]}, StepState.FAILED)


def _changed_weights(work: StepWork) -> Iterator[str]:
    for name in work.settings.encoder_names():
        try:
            check_weights(name, work.settings)
        except EncoderError as error:
            yield str(error)


def _changed_generations(work: StepWork) -> Iterator[str]:
    for one in kept_generations(work.settings.index_path):
        try:
            verified_manifest(work.settings.index_path / one.name)
        except SnapshotError as error:
            yield str(error)


MAIL_KEPT_FOR = timedelta(days=90)
"""For so long a letter lies in the folder of mail, where no server is set that would take it."""
PORTION = 2_000
"""So many rows are deleted in one transaction, so that nobody waits long for a turn to write."""

Forget = Callable[..., int]


def delete_expired(work: StepWork) -> StepOutcome:
    """Delete what is past its time."""
    tables: dict[str, Forget] = {
        "replies": idempotency.forget,
        "sessions": credentials.forget_sessions,
        "failed_sign_ins": credentials.forget_failures,
        "keys_never_woken": credentials.forget_sleepers,
        "jobs": job_queue.forget,
        "notices": forget_notices,
        "renewals": forget_renewals,
    }
    with open_database(work.settings) as engine:
        gone = {name: _all(engine, forget, work.now) for name, forget in tables.items()}
        with writing(engine, deadline_s=WAIT_S) as session:
            before = work.now - timedelta(days=work.settings.evidence_waiting_days)
            gone["evidence"] = forget_waiting(session, work.settings.home, before=before)
        with writing(engine, deadline_s=WAIT_S) as session:
            # Whoever is about to attach one has had an hour.
            gone["attachments"] = forget_strays(session, work.settings.home, before=work.now - timedelta(hours=1))
    gone["mail_files"] = forget_files(work.settings, before=work.now - MAIL_KEPT_FOR)
    return StepOutcome({**gone, "nights": len(forget_old_nights(work.settings.home))})


def _all(engine: Engine, forget: Forget, now: datetime) -> int:
    total = 0
    while True:
        with writing(engine, deadline_s=WAIT_S) as session:
            gone = forget(session, now=now, most=PORTION)
        total += gone
        if gone < PORTION:
            return total


REPORT = "report"
"""The step that comes last and tells of all others."""


@dataclass(frozen=True)
class NightStep:
    """One step: what it is called, what it does, and the steps before it that must not have failed."""

    name: str
    title: Said
    run: Run
    needs: tuple[str, ...] = ()


def _step(name: str, title: Text, run: Run, *needs: str) -> NightStep:
    return NightStep(name, Said.of(title), run, needs)


# A figure that a new step counts gets its words in `api.trail.nights.STEP_FIGURE_LABELS`.
STEPS: tuple[NightStep, ...] = (
    _step("backup", T_("Backup"), make_backup),
    _step("rehearsal", T_("Rehearsal of a restore"), rehearse_restore, "backup"),
    _step("import", T_("Import of the drop folders"), import_dropped, "backup"),
    _step("index", T_("Index, with its quality check"), update_index),
    _step("map", T_("Map of the field"), draw_map, "index"),
    _step("learning", T_("Learning from decisions"), learn_from_decisions),
    _step("figures", T_("Figures"), take_down_figures),
    _step("warnings", T_("Warnings"), propose_warnings),
    _step("reminders", T_("Reminders"), count_reminders),
    _step("letters", T_("Telling what is due, and mail that waits"), tell_what_is_due),
    _step("verify", T_("Proof of the ledger"), prove_ledger),
    _step("heads", T_("Heads of the ledger"), write_heads, "verify"),
    _step(AUDIT_STEP, T_("Proof of the audit trail"), prove_audit_trail),
    _step("files", T_("Comparison of weights and index with what was written"), compare_files),
    _step("expired", T_("Deletion of what is past its time"), delete_expired),
    _step("prune", T_("Removal of old backups"), prune_backups, "rehearsal"),
    _step(REPORT, P_("night words", "Report"), report_the_night),
)
"""In the order in which they are carried out; a step needs only steps that stand before it."""
