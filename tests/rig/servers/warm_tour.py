"""What a server does the first time that it is asked, done once for all servers that are forked from this process.

In: nothing. Out: compiled templates and statements, an index made and opened once, words looked up. It exists because
the first look at the desk takes half a second of processor time and each one after it three hundredths, and the tests
begin hundreds of servers of which each is asked for few pages.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from markupsafe import Markup

from api.pages.shell import drawing
from api.pages.shell.templating import environment
from api.pages.shell.wording import Lang
from indexer.database import open_engine, writing
from indexer.index.building import reindex
from indexer.settings import Settings
from tests.rig.servers.served import existing, fill, page_routes_of
from tests.rig.servers.warmed_application import application
from tests.rig.worlds.slice_of_world import write_slice
from tests.rig.worlds.small_world import asking

if TYPE_CHECKING:
    from collections.abc import Iterator

VISITORS = ("expert", "office", "company", "researcher", "committee")


def take() -> None:
    """Make a home of the slice, and ask for every page of it that has no number in its address, and a few that have."""
    with TemporaryDirectory() as folder, _without_drawings():
        write_slice(Path(folder))
        settings = Settings(
            home=Path(folder) / "home",
            encoders="bundled-use",
            threads=1,
            second_factor="off",
            requests_per_minute=1_000_000,
        )
        keys, _ = fill(settings, Path(folder))
        engine = open_engine(settings)
        with writing(engine) as session:
            reindex(session, settings)
        engine.dispose()
        app = application(settings)
        with asking(app) as client, closing(app.state.live):
            paths = [path for method, path, _ in page_routes_of() if method == "GET"]
            known = {name: ids[0] for name, ids in existing(settings, paths).items() if ids}
            for path in paths:
                place = path.format_map(defaultdict(lambda: "none", known))
                for who in VISITORS:
                    answer = client.get(place, headers={"Authorization": f"Bearer {keys[who]}"}, follow_redirects=False)
                    if answer.is_success:
                        break
        app.state.threads.close()
        app.state.engine.dispose()
    for name in environment(Lang.ZH).list_templates(extensions=["html"]):
        for lang in Lang:
            environment(lang).get_template(name)


@contextmanager
def _without_drawings() -> Iterator[None]:
    """Draw nothing meanwhile: the drawing engine has threads of its own, which no fork takes along."""
    drawn = drawing._drawn
    drawing._drawn = lambda *_: Markup()  # type: ignore[assignment]
    try:
        yield
    finally:
        drawing._drawn = drawn
