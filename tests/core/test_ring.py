"""The ring drops rather than waits, and loses nothing that it took."""

from __future__ import annotations

import threading

from hivefeedback.model import Feedback, Run
from hivefeedback.serving import Ring

Item = tuple[int, float, object]


def test_items_come_out_in_the_order_in_which_they_went_in() -> None:
    ring: Ring[int] = Ring(10)
    for i in range(5):
        ring.put(i)
    assert (ring.take(3), ring.take(9), ring.take(1), len(ring)) == ([0, 1, 2], [3, 4], [], 0)


def test_a_full_ring_drops_the_newest_item_and_counts_it() -> None:
    ring: Ring[str] = Ring(2)
    assert [ring.put(x) for x in "abcd"] == [True, True, False, False]
    assert (ring.n_dropped, ring.take(9)) == (2, ["a", "b"])


def test_markers_of_the_loop_pass_a_full_ring() -> None:
    ring: Ring[str] = Ring(1)
    ring.put("a")
    ring.put_always("marker")
    assert (ring.take(9), ring.n_dropped) == (["a", "marker"], 0)


def test_eight_writers_lose_nothing_and_keep_their_own_order() -> None:
    ring: Ring[tuple[int, int]] = Ring(100_000)
    seen: list[tuple[int, int]] = []
    is_over = threading.Event()

    def read() -> None:
        while not (is_over.is_set() and not len(ring)):
            seen.extend(ring.take(50))
            if not len(ring):
                ring.wait(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=lambda k=k: [ring.put((k, i)) for i in range(2500)]) for k in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    is_over.set()
    ring.wake()
    reader.join()
    assert len(seen) == 20_000
    assert all([i for k, i in seen if k == writer] == list(range(2500)) for writer in range(8))


def test_a_sleeping_reader_is_woken_by_an_item() -> None:
    ring: Ring[str] = Ring(4)
    taken: list[str] = []

    def read() -> None:
        ring.wait(30.0)
        taken.extend(ring.take(1))

    reader = threading.Thread(target=read)
    reader.start()
    while not ring.is_idle:
        pass
    ring.put("a")
    reader.join(10.0)
    assert taken == ["a"]


def fill(ring: Ring[Item], n: int) -> None:
    for i in range(n):
        ring.put((i, 0.0, Run("a")))


def test_where_very_much_text_waits_further_runs_and_feedback_come_without_theirs() -> None:
    ring: Ring[Item] = Ring(10_000, most_chars=1000)
    fill(ring, ring.free)
    ring.put((1, 0.0, Run("a", input="x" * 900)))
    ring.put((2, 0.0, Run("a", "op", input="x" * 200, output="y")))
    ring.put((3, 0.0, Feedback("rating", 0.5, run_id="r", comment="x" * 200)))
    ring.put((4, 0.0, Feedback(comment="short")))
    things = [thing for _, _, thing in ring.take(10_000)[ring.free :]]
    assert things == [
        Run("a", input="x" * 900),
        Run("a", "op"),
        Feedback("rating", 0.5, run_id="r"),
        Feedback(comment="short"),
    ]
    assert (ring.dropped, ring.n_dropped) == ({"texts": 2}, 0)
    ring.take(1)
    fill(ring, ring.free)
    assert ring.put((5, 0.0, Run("a", input="x" * 900)))
    assert ring.dropped == {"texts": 2}, "once the reader has caught up there is room again"
