import math

from stage.bench.air.gaps import count
from stage.bench.air.soak import Soak, figures, slope
from stage.bench.processes import Held

HOUR_S = 3600
FRAME_S = 1 / 30


def test_growth_is_found_under_waves_of_minutes():
    grows = [(s, 500 + 12 * s / HOUR_S + 5 * math.sin(s / 20)) for s in range(0, HOUR_S, 5)]
    found = slope(grows)
    assert found is not None
    assert abs(found.per_hour - 12) < max(found.within, 0.5)
    assert found.within < 3
    assert 8 < found.last - found.first < 10  # from the middle of the first quarter to the last's


def test_what_does_not_grow_is_not_said_to():
    still = [(s, 500 + 5 * math.sin(s / 20)) for s in range(0, HOUR_S, 5)]
    found = slope(still)
    assert found is not None
    assert abs(found.per_hour) <= max(found.within, 0.2)


def test_too_few_samples_have_no_slope():
    assert slope([(0.0, 1.0), (5.0, 1.0)]) is None


def test_missing_pictures_and_breaks_of_the_sound_are_counted():
    pictures = [i * FRAME_S for i in range(100) if i not in (40, 60, 61)]
    sounds = [(i * 0.02 + (0.05 if i > 70 else 0), 0.02) for i in range(100)]
    found = count(pictures, sounds, 30)
    assert (found.frames, found.lost, found.sound_gaps) == (97, 3, 1)
    assert 99 < found.longest_ms < 101


def test_a_film_that_halves_its_rate_lacks_every_second_picture():
    assert count([2 * i * FRAME_S for i in range(50)], [], 30).lost == 49


def test_a_soak_says_what_grew_and_leaves_its_beginning_out():
    seen = Soak(minutes=10, lines=40, answered=40, frames=18_000, late=9)
    for s in range(0, 600, 5):
        loading = 300.0 if s < 30 else 0.0
        seen.samples.append((float(s), {"body": Held(200 - loading + s / 100, 12, 30)}))
    rows = {f.name: f for f in figures(seen, quick=True)}
    growth = rows["soak: memory of the body, growth"].value
    assert growth is not None
    assert abs(growth - 36) < 1
    assert rows["soak: threads of all, last quarter against first"].met
    assert rows["soak: frames begun late or not at all"].met


def test_a_film_whose_sound_comes_ever_later_is_told():
    seen = Soak(minutes=60)
    seen.offsets = [(at, (-1) ** at * 8.0 - at / 100) for at in range(0, 3600, 9)]
    rows = {f.name: f for f in figures(seen, quick=True)}
    moved = rows["soak: A/V offset of the film, last quarter against first"]
    assert moved.value is not None
    assert abs(moved.value + 27) < 2
    assert moved.met is False
    assert rows["soak: A/V offset of the film, median"].met is False


def test_a_film_without_speech_is_not_said_to_be_in_time():
    rows = {f.name: f for f in figures(Soak(minutes=60, offsets=[(1.0, 0.0)]), quick=True)}
    row = rows["soak: A/V offset of the film, median"]
    assert (row.value, row.met) == (None, False)


def test_pages_of_files_are_told_apart_and_are_no_growth_of_their_own():
    seen = Soak(minutes=10)
    for s in range(0, 600, 5):
        seen.samples.append((float(s), {"mind": Held(500 + s / 10, 12, 30, 100 + s / 10)}))
    rows = {f.name: f for f in figures(seen, quick=True)}
    of_files = rows["soak: pages of files in memory of the mind, growth"].value
    whole = rows["soak: memory of the mind, growth"].value
    assert of_files is not None
    assert whole is not None
    assert abs(of_files - 360) < 1
    assert abs(whole - of_files) < 1
    assert not any(name.startswith("soak: pages of files in memory of all") for name in rows)
