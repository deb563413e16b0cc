"""Feedback finds its run: in memory, later, in the log, or with the process that owns it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from hivefeedback.model import Event, Feedback, FeedbackFound, Run, has_value
from hivefeedback.recording.feedback.asked import Asked
from hivefeedback.recording.feedback.join import KnownRun, Recent
from hivefeedback.recording.feedback.judge import Judge
from hivefeedback.recording.feedback.lookup import Found
from hivefeedback.recording.feedback.owners import Handed, taken
from hivefeedback.recording.feedback.recall import Recall
from hivefeedback.recording.feedback.waiting import MOST, Waiting, name_of
from hivefeedback.recording.learning.learner import Learner
from hivefeedback.recording.learning.queries import Member, trace_name
from hivefeedback.recording.parts import Parts
from hivefeedback.stats import CellKey, bucket_of

__all__ = ["LateFeedback"]

_TAKEN = 10_000
_TOGETHER = 100
"""Feedback that the log is asked about at once: commits wait behind a question."""
_AGAIN_S = (1.0, 5.0, 30.0)
"""When the log is asked again: another process may not have committed the run yet."""

_TOO_MUCH = "too much feedback waits for runs that do not come"
Queue = deque[tuple[float, Event]]


class LateFeedback:
    """Joins feedback with runs.

    Feedback whose run is not in memory waits for it and is looked up in the log meanwhile. What
    names no run is kept for its agent or deployment: it counts in analysis and credits nobody. A run
    that another process owns is judged there.

    The log is asked a moment after feedback came (``ask_after_s``): what an application says at once
    often comes before its run, which a framework's callback brings, and then need not be asked for.
    """

    def __init__(
        self, parts: Parts, learner: Learner, judge: Judge, recall: Recall, *, ask_after_s: float = 0.0
    ) -> None:
        self._p, self._learner, self._judge, self._recall = parts, learner, judge, recall
        self._waiting = Waiting(self._make_room)
        self._unjoined: Recent[bool] = Recent(MOST)
        self._waits_s = (ask_after_s, *_AGAIN_S)
        self._again: tuple[Queue, ...] = tuple(deque(maxlen=MOST) for _ in self._waits_s)
        self._unnoted: list[Event] = []
        self._taken: Recent[bool] = Recent(_TAKEN)
        self._asked = Asked(parts.outbox, parts.owners)
        parts.letters.watch(self._waiting.__contains__)

    def learn(self, event: Event, feedback: Feedback) -> None:
        """Feedback as it comes in."""
        known, credited = self._p.joins.find(feedback)
        if known is not None:
            if self._p.edge is not None:
                self._p.edge.join(event.event_id, known.run_id)
            if has_value(feedback):
                self._settle(event, feedback, known, credited)
            return
        if not has_value(feedback):
            return  # a comment alone is in the log and judges no run
        name = name_of(feedback)
        if feedback.comment or feedback.correction:  # the words are in the log; what waits needs none
            event = replace(event, body=replace(feedback, comment="", correction=""))
        if name and self._wait(event):
            self._unnoted.append(event)
            self._ask_later(event, 0)
        else:
            self._keep_unjoined(event, feedback)
            if not name and not (feedback.deployment or feedback.agent_id):
                self._p.letters.unmatched(event, "it names no run, session, agent or deployment")

    def _log_along(self, event: Event, known: KnownRun) -> None:
        """In edge mode: feedback goes into the log where its run does, and where it went before, its run follows."""
        edge = self._p.edge
        if edge is None:
            return
        if any(e.event_id == event.event_id for e in self._unnoted):
            edge.join(event.event_id, known.run_id)
        else:
            edge.want(known.run_id)

    def _wait(self, event: Event) -> bool:
        """Keep it until its run comes; False where too much waits for that run."""
        if self._waiting.add(event):
            return True
        self._p.counters.note("feedback_not_kept", _TOO_MUCH)
        return False

    def _make_room(self, event: Event) -> None:
        """What has waited longest waits no more, and is feedback on no known run."""
        self._asked.settle(event.event_id)
        if not self._unjoined.pop(event.event_id) and isinstance(event.body, Feedback):
            self._p.counters.note("feedback_not_kept", _TOO_MUCH)
            self._keep_unjoined(event, event.body)

    def _ask_later(self, event: Event, n_tries: int) -> None:
        """Ask the log, after the wait that comes before that try."""
        wait_s = self._waits_s[n_tries]
        if wait_s:
            self._again[n_tries].append((self._p.clock() + wait_s, event))
        else:
            self._look_up([event], n_tries)

    def note_asked(self) -> None:
        """Before a commit: what came in with it and waits is known as not settled, in the same commit."""
        for event in self._unnoted:
            if event in self._waiting:
                is_counted = event.event_id in self._unjoined
                self._asked.note(event.event_id, name_of(event.body), is_counted=is_counted)
        self._unnoted.clear()

    def _look_up(self, events: Sequence[Event], n_tries: int) -> None:
        said = [(event, event.body) for event in events if isinstance(event.body, Feedback)]

        def answer(found: Sequence[Found | None]) -> None:
            for (event, feedback), answered in zip(said, found, strict=True):
                self._resolve(event, feedback, n_tries, answered)

        self._p.ask(
            partial(self._p.lookup.about_all, [feedback for _, feedback in said]),
            answer,
            partial(answer, [None] * len(said)),
        )

    def _resolve(self, event: Event, feedback: Feedback, n_tries: int, found: Found | None) -> None:
        """The log's answer: the run that the feedback is about, or none, or (None) no answer; then it goes on
        waiting."""
        if event not in self._waiting:
            return  # its run came in meanwhile
        if found is None:
            self._wait_on(event, feedback, n_tries, is_told=False)
            return
        is_known = found.run is not None and isinstance(found.run.body, Run)
        if not is_known and found.is_ours:
            self._wait_on(event, feedback, n_tries)
            return
        self._waiting.remove(event)
        self._asked.settle(event.event_id)
        if self._unjoined.pop(event.event_id):
            self._keep_unjoined(event, feedback, -1)
        if found.run is None or not isinstance(found.run.body, Run):
            self._p.outbox.put(_handed(event, feedback, feedback.run_id).record(found.origin))
            return
        if not found.is_ours:
            self._hand_over(event, feedback, found, found.run.body)
            return
        known = self._known(found, found.run, found.run.body, event.event_id, feedback.idempotency_key)
        self._p.events.tell(FeedbackFound(feedback_id=event.event_id, run_id=known.run_id))
        self._settle(event, feedback, known, known if known.kind == "llm" else None)

    def _wait_on(self, event: Event, feedback: Feedback, n_tries: int, *, is_told: bool = True) -> None:
        if n_tries == 0:
            self._keep_unjoined(event, feedback)
        if name_of(feedback).startswith("session/") and (is_told or n_tries >= len(_AGAIN_S)):
            self._waiting.remove(event)  # a later run of the session is not what it was about
            self._asked.settle(event.event_id)
            self._p.letters.unmatched(event, "no run of its session is known")
            return
        if n_tries == 0:
            self._unjoined.add(event.event_id, True)
            self._asked.count(event.event_id)
            self._p.letters.expect(event)
        if n_tries < len(_AGAIN_S):
            self._ask_later(event, n_tries + 1)
        else:
            self._asked.settle(event.event_id)

    def ask_again(self, now_s: float) -> None:
        """Look for runs that it is time to look for, the first time or once more."""
        for n_tries, (wait_s, again) in enumerate(zip(self._waits_s, self._again, strict=True)):
            due = []
            while again and not now_s < again[0][0] <= now_s + wait_s:
                due.append(again.popleft()[1])
            self._ask_all(due, n_tries)

    def ask_now(self) -> None:
        """Look for all that nobody has looked for yet: somebody waits for it."""
        due = [event for _, event in self._again[0]]
        self._again[0].clear()
        self._ask_all(due, 0)

    def _ask_all(self, due: Sequence[Event], n_tries: int) -> None:
        events = [event for event in due if event in self._waiting]
        for start in range(0, len(events), _TOGETHER):
            self._look_up(events[start : start + _TOGETHER], n_tries)

    def forget(self) -> None:
        """Something was erased: what the log does not hold any more is not waited with. What came in before
        has been sent to it."""
        waiting = self._waiting.all()
        if waiting:
            ids = [event.event_id for event in waiting]
            self._p.ask(partial(self._p.lookup.recorded, ids), partial(self._forget_others, waiting))

    def _forget_others(self, waiting: Sequence[Event], recorded: Collection[str]) -> None:
        for event in waiting:
            if event.event_id not in recorded and event in self._waiting:
                self._waiting.remove(event)
                self._unjoined.pop(event.event_id)  # the erasure took back what it had counted for
                self._asked.settle(event.event_id)

    def next_s(self) -> float:
        """When the log is to be asked for the first time for what waits; infinite where nothing does."""
        return self._again[0][0][0] if self._again[0] else float("inf")

    def _known(self, found: Found, event: Event, run: Run, *unsettled: str) -> KnownRun:
        """The run of a lookup, in memory again; ``unsettled`` is feedback in the log that did not count yet:
        the one that is learnt now, and the one that it is a retry of, whose id is its key."""
        if found.legacy is not None:
            self._p.awaiting.inherit(found.origin, found.legacy)
        known = self._p.joins.run(event.event_id)
        if known is None:
            said = [e for e in found.said if e.event_id not in unsettled and e not in self._waiting]
            known = self._recall.run(found, event, run, said)
            self._learner.remember(known, run)
            self._recall_query(found, known, run, *unsettled)
        return known

    def _recall_query(self, found: Found, known: KnownRun, run: Run, *unsettled: str) -> None:
        """The runs that are one query with it."""
        members = []
        for other in found.group:
            if other.run is None or not isinstance(other.run.body, Run):
                continue
            member = known if other.run.event_id == known.run_id else self._p.joins.run(other.run.event_id)
            if member is None:
                said = [e for e in other.said if e.event_id not in unsettled and e not in self._waiting]
                member = self._recall.run(other, other.run, other.run.body, said)
                self._p.joins.keep(member)
            members.append(Member(member, not other.run.body.parent_id, other.run.body.attempt))
        if members:
            is_own = found.origin == self._p.awaiting.own
            name = trace_name(run)
            self._judge.queries.restore(name if is_own else f"{found.origin}/{name}", members)

    def recall(self, found: Found) -> KnownRun | None:
        """The run of a lookup, in memory again; None where it is gone, or another process's."""
        if found.run is None or not isinstance(found.run.body, Run) or not found.is_ours:
            return None
        return self._known(found, found.run, found.run.body)

    # --- processes that are gone ----------------------------------------------------------------------

    def ask_for(self, asked: Iterable[tuple[str, str, bool]]) -> None:
        """Find the runs of feedback whose processes ended before they had."""
        for origin, feedback_id, is_counted in asked:
            if self._asked.take_over(origin, feedback_id):
                in_place = partial(self._ask_in_place, feedback_id, is_counted)
                self._p.ask(partial(self._p.lookup.feedback, feedback_id), in_place)

    def _ask_in_place(self, feedback_id: str, is_counted: bool, event: Event | None) -> None:
        if event is None or not isinstance(event.body, Feedback):  # it was erased, or never got into the log
            self._asked.settle(feedback_id)
        elif self._wait(event):
            self._asked.call(feedback_id, name_of(event.body))
            if is_counted:
                self._unjoined.add(feedback_id, True)
            self._look_up([event], int(is_counted))

    def end(self) -> None:
        """The process ends in peace: what the log holds no run of is a dead letter, and nobody's to ask for."""
        for feedback_id in self._asked.open:
            if feedback_id in self._unjoined:
                self._asked.settle(feedback_id)

    def lose(self, origins: Collection[str]) -> None:
        """Other processes claimed these origins: what this one asked for under them, they ask for now."""
        for feedback_id, name in self._asked.lose(origins):
            for event in self._waiting.of(name):
                if event.event_id == feedback_id:
                    self._waiting.remove(event)

    # --- runs of other processes --------------------------------------------------------------------

    def _hand_over(self, event: Event, feedback: Feedback, found: Found, run: Run) -> None:
        """Another process owns the run: it learns what was said, and settles the reward. What that means for
        a session's unit in a rollout is known here already, and counts once wherever it is said."""
        assert found.run is not None
        handed = _handed(event, feedback, found.run.event_id)
        key, value = handed.key, handed.value
        self._p.outbox.put(handed.record(found.origin))
        known = self._recall.run(found, found.run, run, [e for e in found.said if e.event_id != event.event_id])
        if known.decision is None or not known.decision.session_id:
            return
        known.judged = {**(known.judged or {}), key: (feedback.name, value)}
        known.reward = self._judge.earned(known)
        if known.reward is not None:
            known.is_awaiting = False
            self._judge.settle_units(known)

    def take(self, handed: Iterable[tuple[str, Handed]]) -> None:
        """Judgements of runs that this process owns, from processes where they came in."""
        for origin, said in handed:
            if said.feedback_id in self._taken:
                continue
            known = self._p.joins.run(said.run_id)
            if known is not None:
                self._take(origin, said, known)
            else:
                self._p.ask(partial(self._p.lookup.of_run, said.run_id), partial(self._take_found, origin, said))

    def _take_found(self, origin: str, said: Handed, found: Found) -> None:
        if said.feedback_id in self._taken or not found.is_ours:
            return
        if found.run is not None and isinstance(found.run.body, Run):
            self._take(origin, said, self._known(found, found.run, found.run.body, said.feedback_id, said.key))
        else:  # it was erased; or it fell out of memory, and the log holds a sample
            self._p.outbox.put(taken(origin, said.feedback_id))
            if self._p.edge is not None:
                self._p.counters.note("feedback_unjoined", "a run that is not in the log is no longer in memory")

    def _take(self, origin: str, said: Handed, known: KnownRun) -> None:
        self._taken.add(said.feedback_id, True)
        self._p.outbox.put(taken(origin, said.feedback_id))
        if self._p.edge is not None:
            self._p.edge.want(known.run_id)
        self._p.events.tell(FeedbackFound(feedback_id=said.feedback_id, run_id=said.run_id))
        _, credited = self._p.joins.find(Feedback(said.name, run_id=said.run_id))
        self._judge.judge(known, credited, said.key, said.name, said.value)

    def judge_first(self, known: KnownRun) -> None:
        """A run turned out to be one that the log held: what was said of it is about the first one."""
        for key, (name, value) in (known.judged or {}).items():
            said = Handed(known.run_id, key, key, name, value)
            self._p.ask(partial(self._p.lookup.of_run, known.run_id), partial(self._judge_found, said))

    def _judge_found(self, said: Handed, found: Found) -> None:
        if found.run is None or not isinstance(found.run.body, Run):
            return
        if not found.is_ours:
            self._p.outbox.put(said.record(found.origin))
            return
        known = self._known(found, found.run, found.run.body, said.feedback_id)
        self._judge.judge(known, known if known.kind == "llm" else None, said.key, said.name, said.value)

    # --- runs that come in ----------------------------------------------------------------------------

    def awaits(self, run_id: str, run: Run) -> bool:
        """True where feedback waits for a run, by its id or another name."""
        return self._waiting.awaits(run_id, run)

    def adopt(self, known: KnownRun, run: Run) -> None:
        """A run came in: feedback that was waiting for it joins now."""
        for event in self._waiting.take_all(known.run_id, run):
            self._asked.settle(event.event_id)
            body = event.body
            if isinstance(body, Feedback):
                found, credited = self._p.joins.find(body)
                self._log_along(event, found or known)
                if self._unjoined.pop(event.event_id):
                    self._keep_unjoined(event, body, -1)
                self._settle(event, body, found or known, credited)

    def _settle(self, event: Event, feedback: Feedback, known: KnownRun, credited: KnownRun | None) -> None:
        key, value = feedback.idempotency_key or event.event_id, float(feedback.value or 0.0)
        is_of_trace = bool(feedback.trace_id) and not feedback.run_id
        self._judge.judge(known, credited, key, feedback.name, value, is_of_trace=is_of_trace)

    def _keep_unjoined(self, event: Event, feedback: Feedback, sign: int = 1) -> None:
        self._p.counters["feedback_unjoined"] += sign
        if feedback.deployment or feedback.agent_id:
            key = CellKey(feedback.deployment, feedback.operation, feedback.agent_id)
            cell = self._p.outbox.delta.cell(key, bucket_of(event.event_time_s))
            cell.add_judged(feedback.name, float(feedback.value or 0.0), sign)


def _handed(event: Event, feedback: Feedback, run_id: str) -> Handed:
    key, value = feedback.idempotency_key or event.event_id, float(feedback.value or 0.0)
    return Handed(run_id, event.event_id, key, feedback.name, value)
