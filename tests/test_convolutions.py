"""further/convolutions.py: sizes are torch's, and windows are what a layer's pixels see."""

import pytest
import torch
from torch import nn

from further import convolutions

BY_NAME = {case.name: case for case in convolutions.CASES}


def test_there_are_sixteen_cases_half_of_them_transposed():
    assert len(BY_NAME) == 16 and sum(case.transposed for case in convolutions.CASES) == 8


@pytest.mark.parametrize("case", convolutions.CASES, ids=lambda case: case.name)
def test_the_formula_gives_torch_s_size_and_so_does_the_stretched_input(case):
    x = torch.rand(1, 1, case.i, case.i)
    out = convolutions.layer(x, case)
    assert out.shape[-1] == convolutions.output_size(case)
    again = nn.functional.conv2d(convolutions.stretched(x, case), torch.ones(1, 1, case.k, case.k),
                                 stride=1 if case.transposed else case.s)
    assert torch.allclose(again, out)


@pytest.mark.parametrize("case", convolutions.CASES, ids=lambda case: case.name)
def test_each_case_obeys_the_relation_that_it_is_an_example_of(case):
    i, k, s, p, a = case.i, case.k, case.s, case.p, case.a
    sizes = {1: i - k + 1, 2: i - k + 2 * p + 1, 3: i, 4: i + k - 1, 5: (i - k) // s + 1, 6: (i + 2 * p - k) // s + 1,
             8: i + k - 1, 9: i + k - 1 - 2 * p, 10: i, 11: i - (k - 1), 12: s * (i - 1) + k,
             13: s * (i - 1) + k - 2 * p, 14: s * (i - 1) + a + k - 2 * p}
    assert convolutions.output_size(case) == sizes[case.relation]


@pytest.mark.parametrize("i", range(4, 9))
@pytest.mark.parametrize("k, s, p", [(3, 1, 0), (3, 2, 1), (4, 2, 1), (4, 3, 2), (2, 2, 0)])
def test_other_sizes_too_and_the_transposed_one_leads_back(i, k, s, p):
    case = convolutions.Case("other", 6, i, k, s, p)
    back = convolutions.transpose_of(case, 14)
    for one in (case, back):
        assert convolutions.layer(torch.zeros(1, 1, one.i, one.i), one).shape[-1] == convolutions.output_size(one)
    assert convolutions.output_size(back) == i


@pytest.mark.parametrize("case", convolutions.CASES, ids=lambda case: case.name)
def test_the_windows_light_up_what_torch_s_layer_sees(case):
    x = torch.ones(1, 1, case.i, case.i, requires_grad=True)
    inputs = convolutions.stretched(x.detach(), case)[0, 0] > 0
    for pixel, window in zip(convolutions.layer(x, case).flatten(), convolutions.windows(case), strict=True):
        seen, = torch.autograd.grad(pixel, x, retain_graph=True)
        assert torch.equal(window[inputs].view(case.i, case.i), seen[0, 0] > 0)
        assert window.sum() == case.k**2


def test_kernel_3_with_stride_2_sees_unevenly_many_inputs_and_kernel_4_does_not():
    def counts(case):
        inputs = convolutions.stretched(torch.ones(1, 1, case.i, case.i), case)[0, 0] > 0
        size = convolutions.output_size(case)
        inner = (convolutions.windows(case) & inputs).sum((1, 2)).view(size, size)[1:-1, 1:-1]
        return set(inner.flatten().tolist())

    assert counts(BY_NAME["stride and padding, transposed"]) == {1, 2, 4} and counts(BY_NAME["doubling"]) == {4}


@pytest.mark.parametrize("case", convolutions.CASES, ids=lambda case: case.name)
def test_a_frame_for_each_output_pixel(case):
    shown = convolutions.frames(case)
    assert len(shown) == convolutions.output_size(case) ** 2 <= 60  # more would be thinned out
    assert all(frame.shape == (2, 3, 80, 80) and frame.dtype == torch.uint8 for frame in shown)
    assert len({frame.numpy().tobytes() for frame in shown}) == len(shown)


def test_the_colours_say_what_an_output_pixel_sees_and_which_are_done():
    case = BY_NAME["doubling"]  # 3 inputs stretched to 9 cells, 6 pixels out
    inputs = convolutions.stretched(torch.ones(1, 1, case.i, case.i), case)[0, 0] > 0
    for number, (frame, window) in enumerate(zip(convolutions.frames(case), convolutions.windows(case), strict=True)):
        cells = frame[:, :, 4::8, 4::8].permute(0, 2, 3, 1)  # the middle of each
        met, made = ([(cells[side] == colour).all(-1) for colour in
                      (convolutions.BLUE, convolutions.GREY, convolutions.ORANGE, convolutions.LIGHT, convolutions.GREEN)]
                     for side in (0, 1))
        wanted = (inputs & ~window, ~inputs & ~window, inputs & window, ~inputs & window)
        for found, places in zip(met, wanted, strict=False):
            assert torch.equal(found[:9, :9], places) and found.sum() == places.sum()
        assert [found.sum().item() for found in made] == [0, 35 - number, 1, 0, number]
