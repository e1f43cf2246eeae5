"""The command line, the server and its pages: how people and programs reach the layers below."""

from pathlib import Path

from indexer.wording import add_catalogues

add_catalogues(Path(__file__).parent / "locale")
