"""A draw is a function of (seed, producer, epoch, number)."""

from __future__ import annotations

import threading

from hivefeedback.serving import Draws, fraction_of


def test_the_same_seed_producer_epoch_and_number_give_the_same_draw_in_any_order() -> None:
    numbers = [0, 1, 255, 256, 257, 70_000]
    forward = [Draws(7, "p", 3).at(n) for n in numbers]
    draws = Draws(7, "p", 3)
    assert [draws.at(n) for n in reversed(numbers)] == forward[::-1]


def test_each_part_of_the_key_changes_the_draws() -> None:
    base = [Draws(7, "p", 3).at(n) for n in range(8)]
    for other in (Draws(8, "p", 3), Draws(7, "q", 3), Draws(7, "p", 4)):
        assert all(a != b for a, b in zip(base, (other.at(n) for n in range(8)), strict=True))


def test_the_first_draw_is_pinned_so_that_a_replay_finds_it_again() -> None:
    assert [Draws(0, "local", 1).at(n) for n in (1, 256)] == [12128914762298286201, 9614917286941915775]


def test_draws_are_even() -> None:
    draws = Draws(1, "p", 1)
    n = 40_000
    low = sum(draws.at(i) < 1 << 62 for i in range(n))
    assert abs(low / n - 0.25) < 0.01


def test_threads_that_share_the_draws_get_what_one_would_get() -> None:
    draws, alone = Draws(5, "p", 1), Draws(5, "p", 1)
    wrong: list[int] = []

    def look(start: int) -> None:
        mine = Draws(5, "p", 1)
        wrong.extend(n for n in range(start, 20_000, 4) if draws.at(n) != mine.at(n))

    threads = [threading.Thread(target=look, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert draws.at(3) == alone.at(3)


def test_where_a_unit_falls_depends_on_salt_and_unit_alone() -> None:
    assert fraction_of("r1", "s") == fraction_of("r1", "s") != fraction_of("r2", "s")
    assert fraction_of("r1", "\ud800") < 1.0


def test_a_tenth_of_the_units_falls_below_a_tenth_under_each_salt() -> None:
    for salt in ("one", "two"):
        n_low = sum(fraction_of(salt, f"session-{i}") < 0.1 for i in range(10_000))
        assert abs(n_low - 1000) < 120
