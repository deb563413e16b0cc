"""``hivefeedback why``: the story of a mutation."""

from __future__ import annotations

from typing import Final

from hivefeedback.cli.answer import Answer, plain_data
from hivefeedback.cli.call import Call
from hivefeedback.cli.spec import Spec, arg
from hivefeedback.cli.words import plain

__all__ = ["SPEC"]


def run(call: Call) -> Answer:
    """Finding, numbers, traces, verdicts, approver, arms, outcome, from the journal alone."""
    with call.reader() as reader:
        why = reader.why(call.args.mutation_id)
    return Answer(data=plain_data(why), text=plain(why.text(), is_block=True))


SPEC: Final = Spec(
    name="why",
    help="tell the story of a mutation: evidence, gates, people, outcome",
    run=run,
    arguments=(arg("mutation_id", metavar="ID", help="as 'mutations list' shows it"),),
)
