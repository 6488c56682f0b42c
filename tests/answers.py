"""Tables of right and wrong answers; answers_*.py fill them, test_checks.py has each judged."""

from typing import NamedTuple


class Answer(NamedTuple):
    """One answer to an exercise: what the check is called with, and what it must say.

    verdict: "sound", "wrong" or "not begun"; says: words that the advice or the failure must contain, "" for any;
    a sound answer without words must get no advice at all.
    """

    name: str
    args: tuple
    verdict: str
    says: str


class Answers(list):
    """The answers to one exercise, in the order in which they were added.

    aside: advice that most answers get because they leave out what a few answers show, by some of its words. A sound
    answer may get it without naming it.
    """

    def __init__(self, check, aside=()):
        self.check, self.aside = check, aside

    def sound(self, name, *args, advice=""):
        self.append(Answer(name, args, "sound", advice))

    def wrong(self, name, *args, says=""):
        self.append(Answer(name, args, "wrong", says))

    def not_begun(self, name, *args):
        self.append(Answer(name, args, "not begun", "not begun yet"))
