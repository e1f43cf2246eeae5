"""The formats of reports: one function for all of them.

In: a report, a format and a language. Out: the bytes of a file. It exists so
that whoever asks for a file, on the command line or over HTTP, imports only the
library of the format that is asked for.
"""

from __future__ import annotations

from enum import StrEnum

from matcher.ledger.document import ReportDocument
from matcher.ledger.rendering.wording import ReportLanguage
from matcher.ledger.rendering.writable import writable_report


class ReportFormat(StrEnum):
    """What kind of file; the value is the end of its name."""

    XLSX = "xlsx"
    ODS = "ods"
    CSV = "csv"
    PDF = "pdf"
    HTML = "html"
    JSON = "json"


MEDIA_TYPES = {
    ReportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ReportFormat.ODS: "application/vnd.oasis.opendocument.spreadsheet",
    ReportFormat.CSV: "text/csv; charset=utf-8",
    ReportFormat.PDF: "application/pdf",
    ReportFormat.HTML: "text/html; charset=utf-8",
    ReportFormat.JSON: "application/json",
}


def render(document: ReportDocument, form: ReportFormat, language: ReportLanguage = ReportLanguage.ZH) -> bytes:
    """Return a report as a file. JSON always has both languages.

    Raises:
        ReportTooLargeError: a workbook can't hold the report.
    """
    document = writable_report(document)
    if form is ReportFormat.JSON:
        from matcher.ledger.rendering.as_json import render_json

        return render_json(document)
    if form is ReportFormat.CSV:
        from matcher.ledger.rendering.as_csv import render_csv as render_as
    elif form is ReportFormat.XLSX:
        from matcher.ledger.rendering.as_xlsx import render_xlsx as render_as
    elif form is ReportFormat.ODS:
        from matcher.ledger.rendering.as_ods import render_ods as render_as
    elif form is ReportFormat.PDF:
        from matcher.ledger.rendering.as_pdf import render_pdf as render_as
    else:
        from matcher.ledger.rendering.as_html import render_html as render_as
    return render_as(document, language)
