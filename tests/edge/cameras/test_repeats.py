"""Messages that come again and again."""

import itertools

from edge.cameras.repeats import Repeats


def test_thirty_of_a_kind_are_two_messages() -> None:
    """The first is said at once, the other 29 as a number at the end of the window; another kind is not held up."""
    judge = Repeats()
    said = [n for n in range(30) if judge.add(f"/clips/{n:03}.jpg: cannot be read (No such file). Check it", 100.0)]
    assert said == [0]
    assert judge.add("/clips/000.jpg: is not a whole picture. Replace it", 100.0)
    assert judge.due(109.9) == []
    (summary,) = judge.due(110.0)
    assert "029.jpg" in summary
    assert "and 28 more of that kind in the last 10 s" in summary
    assert judge.due(111.0) == []


def test_what_goes_on_is_said_ever_more_rarely() -> None:
    """One a second for a day is said at most some thirty times; after a silence it is said at once again."""
    judge, count = Repeats(), 0
    for second in range(86_400):
        count += judge.add(f"picture {second} is damaged", float(second))
        count += len(judge.due(float(second)))
    assert count <= 35
    assert judge.due(100_000.0) != []
    assert judge.due(200_000.0) == []
    assert judge.add("picture 7 is damaged", 200_001.0)


def test_kinds_are_bounded() -> None:
    """Ten thousand kinds of messages do not take ten thousand places."""
    judge = Repeats()
    for letters in itertools.product("abcdefghij", repeat=4):
        judge.add(f"kind {''.join(letters)} of message", 0.0)
    assert len(judge._kinds) <= 50
