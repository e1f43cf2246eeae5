"""What tests of cases' pages share: a need whose every text would be live, and cases of accepted pairings."""

from __future__ import annotations

from tests.serving import Served

LIVE = "<img src=x onerror=document.title='xss'>\"'><script>document.title='xss'</script>"


def open_cases(server: Served, many: int) -> list[int]:
    """Let a company submit a need with live texts, and the expert accept so many pairings; return the cases."""
    need = {
        "title": f"拋光 {LIVE}",
        "description": f"碳化矽基板拋光太慢 {LIVE}",
        "asks": [{"kind": "technology", "text": f"提高移除率的拋光液 {LIVE}"}],
    }
    made = server.ask("company", "POST", "/api/needs", json=need)
    assert made.status_code == 201, made.text
    need_id = made.json()["id"]
    assert server.ask("expert", "POST", f"/api/needs/{need_id}/take-up").status_code == 200
    ranked = server.ask("expert", "GET", f"/api/needs/{need_id}/matches", params={"top": many})
    assert ranked.status_code == 200, ranked.text
    return [_accepted(server, pairing) for pairing in ranked.json()["pairings"]]


def _accepted(server: Served, pairing: dict[str, int]) -> int:
    word = {"verdict": "accept", "proposal_id": pairing["proposal_id"]}
    answer = server.ask("expert", "POST", f"/api/pairings/{pairing['pairing_id']}/decision", json=word)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["case_id"])
