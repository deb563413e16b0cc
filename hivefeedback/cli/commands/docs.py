"""``hivefeedback docs``: the reference of hooks, settings and events, made from the code."""

from __future__ import annotations

from typing import Final

from hivefeedback.cli.answer import Answer
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg

__all__ = ["SPEC"]

_TOPICS: Final = ("hooks", "settings", "events")


def run(call: Call) -> Answer:
    """The reference as Markdown; without a topic all of it."""
    from hivefeedback.cli.reference_events import events_reference
    from hivefeedback.cli.reference_hooks import hooks_reference
    from hivefeedback.cli.reference_settings import settings_reference

    makers = {"hooks": hooks_reference, "settings": settings_reference, "events": events_reference}
    topics = [call.args.topic] if call.args.topic else list(_TOPICS)
    pages = {topic: makers[topic]() for topic in topics}
    return Answer(data={"format": "markdown", **pages}, text="\n\n".join(pages.values()))


SPEC: Final = Spec(
    name="docs",
    help="print the reference of hooks, settings and events as Markdown",
    run=run,
    arguments=(arg("topic", nargs="?", choices=_TOPICS, help="hooks, settings or events; default: all"),),
)
