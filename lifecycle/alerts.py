"""One digest per run to the team's chat. An alert that cannot be sent is said, and never fails the run."""

from __future__ import annotations

import requests

from lifecycle import settings

SECONDS = 5.0


def send(text: str) -> str:
    """Post to the chat webhook; what is to be said about it (nothing if no webhook is configured).

    The webhook's address is a secret, so no exception of the HTTP library gets out of here.
    """
    url = settings.ALERTS.find()
    if url is None:
        return ""
    try:
        answer = requests.post(url, json={"text": text}, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return f"The alert could not be sent ({type(error).__name__})."
    if answer.status_code != 200:
        return f"The alert was refused with status {answer.status_code}."
    return "The team's chat was told."
