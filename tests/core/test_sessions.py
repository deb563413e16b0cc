"""The first draw of a session is remembered within a bound."""

from __future__ import annotations

import threading

from hivefeedback.serving import Sessions


def test_the_first_draw_of_each_session_and_operation_is_known() -> None:
    sessions = Sessions(10)
    sessions.remember("s", "x", "a", 0.25)
    sessions.remember("s", "y", "b", 0.5)
    assert sessions.recall("s", "x") == ("a", 0.25)
    assert sessions.recall("s", "y") == ("b", 0.5)
    assert sessions.recall("t", "x") is None


def test_the_least_recently_used_session_goes_first() -> None:
    sessions = Sessions(2)
    sessions.remember("old", "x", "a", 0.5)
    sessions.remember("new", "x", "b", 0.5)
    assert sessions.recall("old", "x")
    sessions.remember("newest", "x", "b", 0.5)
    assert sessions.recall("new", "x") is None
    assert sessions.recall("old", "x")


def test_threads_never_raise_and_the_bound_holds() -> None:
    sessions = Sessions(50)
    errors: list[BaseException] = []

    def use(k: int) -> None:
        try:
            for i in range(3000):
                sessions.remember(f"{k}-{i % 97}", "x", "a", 0.5)
                sessions.recall(f"{(k + 1) % 4}-{i % 97}", "x")
        except Exception as error:  # noqa: BLE001  # whatever it is, the test names it
            errors.append(error)

    threads = [threading.Thread(target=use, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(sessions.recall(f"{k}-{i}", "x") is not None for k in range(4) for i in range(97)) <= 50
