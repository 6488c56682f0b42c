"""Near-copies are found under another dress; what all write alike, and what two wrote each for himself, is not told."""

import random
import re

import pytest

from teaching.alike import FEWEST, fragments, near_copies

CHOICES = {
    "relu": ["nn.LeakyReLU(0.2)", "nn.LeakyReLU(0.2, inplace=True)", "nn.LeakyReLU(negative_slope=0.2)"],
    "how": ["4, 2, 1", "4, stride=2, padding=1", "kernel_size=4, stride=2, padding=1", "4, 2, 1, bias=False"],
    "last": ["nn.Conv2d(conv_dim * 4, 1, 4)", "nn.Flatten(), nn.Linear(conv_dim * 4 * 4 * 4, 1)",
             "nn.Dropout(0.1), nn.Conv2d(conv_dim * 4, 1, 4, 1, 0)"],
    "end": ["return self.layers(x).flatten(1)", "return self.layers(x).view(-1, 1)",
            "x = self.layers(x)\n        return x.view(len(x), 1)", "return self.layers(x).reshape(x.size(0), -1)",
            "out = self.layers(x)\n        return torch.flatten(out, 1)"],
    "zero": ["optimizer.zero_grad()", "D.zero_grad()", "optimizer.zero_grad(set_to_none=True)"],
    "z": ["torch.randn(len(x), G.z_size)", "random_z(len(x), G.z_size, x.device)", "torch.randn((x.size(0), G.z_size))"],
    "fake": ["fake = G({z})", "with torch.no_grad():\n        fake = G({z})", "z = {z}\n    fake = G(z)"],
    "ones": ["torch.ones_like(out)", "torch.full_like(out, 0.9)", "torch.ones(out.size(0), 1)", "0.9 * ones_like(out)"],
    "loss": ["out = D(x)\n    loss = F.binary_cross_entropy_with_logits(out, {ones}) + fake_loss(D(fake))",
             "out = D(x)\n    real = criterion(out, {ones})\n    loss = real + fake_loss(D(fake.detach()))",
             "real = real_loss(D(x))\n    wrong = fake_loss(D(fake))\n    loss = real + wrong"],
    "test": ["isinstance(m, (nn.Conv2d, nn.Linear))", "'Conv' in m.__class__.__name__ or 'Linear' in m.__class__.__name__",
             "type(m) in (nn.Conv2d, nn.ConvTranspose2d)", "hasattr(m, 'weight') and not isinstance(m, nn.BatchNorm2d)"],
    "draw": ["nn.init.normal_(m.weight, 0, 0.02)", "m.weight.data.normal_(0, 0.02)",
             "nn.init.normal_(m.weight.data, mean=0.0, std=0.02)"],
    "bias": ["", "\n        if m.bias is not None:\n            nn.init.zeros_(m.bias)",
             "\n        if m.bias is not None:\n            m.bias.data.fill_(0)"],
}
EXERCISES = {
    "network": '''class Discriminator(nn.Module):
    """Tell real from generated."""

    def __init__(self, conv_dim):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, conv_dim, {how}), {relu},
            nn.Conv2d(conv_dim, conv_dim * 2, {how}), nn.BatchNorm2d(conv_dim * 2), {relu},
            nn.Conv2d(conv_dim * 2, conv_dim * 4, {how}), nn.BatchNorm2d(conv_dim * 4), {relu},
            {last})

    def forward(self, x):
        {end}
''',
    "step": '''def step(D, G, x, optimizer):
    {zero}
    {fake}
    {loss}
    loss.backward()
    optimizer.step()
    return loss.item()
''',
    "init": '''def init(m):
    if {test}:
        {draw}{bias}
''',
}


TASKS = [f"{exercise} {number}" for exercise in EXERCISES for number in (1, 2)]


def write(task, choose):
    """An answer to one of TASKS, in one of some hundred ways."""
    chosen = {part: choose(ways) for part, ways in CHOICES.items()}
    text = EXERCISES[task.split()[0]]
    for part in ("fake", "loss", *chosen):  # two of them hold others
        text = text.replace(f"{{{part}}}", chosen[part])
    return text


def a_class(count, seed=0):
    """Answers of learners who know nothing of each other, {task: {name: source}}."""
    choose = random.Random(seed).choice
    return {task: {f"s{number:03}": write(task, choose) for number in range(count)} for task in TASKS}


def disguised(source):
    """The same answer with other names, constants and comments, another layout, and a docstring."""
    for old, new in (("conv_dim", "channels"), ("self.layers", "self.body"), (r"\bloss\b(?!_)", "total"),
                     (r"\bfake\b", "made_up"), (r"\bout\b", "answer"), (r"\bm\b", "module"), (r"\bx\b", "picture"),
                     (r"0\.2\b", "0.25"), ('"""Tell', '"""I tell'), (r"\(", "( "), (",", " ,")):
        source = re.sub(old, new, source)
    return "# all my own work\n\n" + re.sub(r"\n( +)(return|self)", r"\n\n\1# think\n\1\2", source)


def told(answers):
    return {pair["names"]: [each["id"] for each in pair["exercises"]] for pair in near_copies(answers)[0]}


@pytest.mark.parametrize("count", [8, 30, 120])
def test_a_copy_in_another_dress_is_told_and_nobody_else(count):
    answers = a_class(count)
    for sources in answers.values():
        sources["s003"] = disguised(sources["s005"])
    pairs = near_copies(answers)[0]
    assert pairs[0]["names"] == ("s003", "s005") and {each["id"] for each in pairs[0]["exercises"]} == set(TASKS)
    assert all(each["alike"] > 0.99 for each in pairs[0]["exercises"])
    assert pairs[0]["exercises"][0]["answers"] == tuple(answers[TASKS[0]][name] for name in ("s003", "s005"))
    assert len(pairs) <= 1 + count // 60  # chance makes a pair in a large class


def test_a_copy_that_was_changed_a_little_is_told():
    answers = a_class(30)
    for task, sources in answers.items():
        sources["s003"] = disguised(sources["s005"])
        if task.startswith("network"):
            changed = sources["s003"].replace("__init__( )\n", "__init__( )\n        self.size = channels\n")
            assert changed != sources["s003"]
            sources["s003"] = changed
    assert set(told(answers)["s003", "s005"]) >= {"network 1", "network 2"}


def test_a_long_scaffold_hides_no_copy():
    given = "".join(f"table[{n}] = look_up(x, {n}) + 1\n" for n in range(100))
    answers = {task: {name: given + source for name, source in sources.items()} for task, sources in a_class(30).items()}
    for sources in answers.values():
        sources["s003"] = disguised(sources["s005"])
    assert list(told(answers)) == [("s003", "s005")]


@pytest.mark.parametrize("seed", range(5))
def test_who_wrote_for_himself_makes_no_pair(seed):
    assert len(told(a_class(30, seed))) <= 1


def test_what_all_write_alike_makes_no_pair():
    one = a_class(1)
    assert not told({exercise: {f"s{n}": disguised(sources["s000"]) if n % 2 else sources["s000"] for n in range(30)}
                     for exercise, sources in one.items()})


def test_half_a_class_of_the_hint_s_own_form_makes_no_pair():
    answers = a_class(30)
    for number in range(15):
        for task in TASKS:
            answers[task][f"s{number:03}"] = write(task, lambda ways: ways[0])
    assert not {pair for pair in told(answers) if pair[1] < "s015"}


def test_short_answers_make_no_pair():
    forms = ["return x * (b - a) + a", "return a + x * (b - a)", "return (b - a) * x + a", "x = x * (b - a) + a"]
    choose = random.Random(0).choice
    answers = {f"scale {k}": {f"s{n}": f"def scale(x):\n    a, b = r\n    {choose(forms)}\n" for n in range(40)}
               for k in range(3)}
    assert not told(answers)


def test_one_exercise_or_two_make_no_pair():
    answers = a_class(30)
    chosen = ("network 1", "step 1", "init 1", "network 2", "step 2")
    for task in chosen[:2]:
        answers[task]["s003"] = answers[task]["s005"]
    assert ("s003", "s005") not in told(answers)
    for task in chosen[2:]:
        answers[task]["s003"] = answers[task]["s005"]
    assert ("s003", "s005") in told(answers)


def test_in_fewer_answers_nothing_is_rare():
    copied = {task: {f"s{n}": write(task, random.Random(n // 2).choice) for n in range(FEWEST - 1)} for task in TASKS}
    assert told(copied) == {} and near_copies({}) == ([], [])


def test_what_is_no_python_is_left_out_and_said():
    answers = a_class(10)
    bad = {"s000": "def f(:", "s001": "(" * 5000 + ")" * 5000, "s002": "x\0", "s003": "-" * 50_000 + "1",
           "s004": "x = 1\n" * 50_000}
    answers["init 1"] |= bad
    left_out = near_copies(answers)[1]
    assert {(exercise, name) for exercise, name, _ in left_out} == {("init 1", name) for name in bad}
    assert all(why for *_, why in left_out)


@pytest.mark.parametrize("other", [
    "def g(b):\n    '''Doc.'''\n    c = b + 2  # why\n\n    return  c",
    "def g(b: int) -> int:\n    c = b + 2\n    return c",
    "%matplotlib inline\ndef g(b):\n    c = b + 2\n    return c",
    "%%time\ndef g(b):\n    c = b + 2\n    return c",
], ids=["names and comments", "annotations", "magic", "cell magic"])
def test_what_does_not_count(other):
    one = fragments("def f(x):\n    y = x + 1\n    return y")
    assert one and len(one & fragments(other)) >= len(one) - 1


@pytest.mark.parametrize("other", ["def f(x):\n    y = x - 1\n    return y", "def f(x):\n    return g(x + 1)"])
def test_what_does_count(other):
    one = fragments("def f(x):\n    y = x + 1\n    return y")
    assert len(one & fragments(other)) < len(one) - 2


def test_names_of_the_library_count():
    assert fragments("F.relu(x)") != fragments("F.tanh(x)")
    assert fragments("self.relu = f(self.relu)") == fragments("self.tanh = f(self.tanh)")
