"""The commands that show what is published now: `status`, `report`."""

from __future__ import annotations

import json

from lifecycle import report, settings
from lifecycle.answering import Json, answering, console, say
from lifecycle.errors import CannotRunError


def status_command(as_json: Json = False) -> None:
    """Show what is published and delivered now."""
    with answering(as_json=as_json):
        found = report.read(settings.places())
        if as_json:
            print(json.dumps(found.as_json()))  # noqa: T201
        else:
            report.show(found, console())


def report_command(as_json: Json = False) -> None:
    """Write the pages about what is published now: executive, growth, success, trust."""
    with answering(as_json=as_json) as progress:
        from dashboard import pages, published  # noqa: PLC0415 - brings the drawing library along

        places = settings.places()
        try:
            with progress.step("write the pages"):
                files = pages.write(places.complete_file, places.reports)
        except published.NothingPublishedError as error:
            raise CannotRunError(str(error)) from None
        say({"files": [str(file) for file in files]}, "\n".join(str(file) for file in files), as_json=as_json)
