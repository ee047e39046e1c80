"""The codes against worked examples: pixel values 0..1 and the spikes that published rules give them."""

import pytest
import torch

from dvspipe.encoders.choice import build_encoder
from dvspipe.encoders.encoder import level

VALUES = (0.00, 0.10, 0.25, 0.30, 0.50, 0.60, 0.75, 0.90, 1.00)
TIME = ("0001", "0001", "0010", "0010", "0100", "0100", "1000", "1000", "1000")
MIX_TIME = ("000", "000", "001", "001", "010", "010", "100", "100", "100")
RANK_LEVEL = (15, 14, 12, 11, 8, 6, 4, 2, 1)
RANK = ("1111", "0111", "0011", "1101", "0001", "0110", "0010", "0100", "1000")
LATENCY = (3, 3, 2, 2, 2, 1, 1, 0, 0)
PHASE = ("0000", "0001", "0100", "0100", "1000", "1001", "1100", "1110", "1111")
BURST = ("0000", "1000", "1000", "1100", "1100", "1110", "1110", "1111", "1111")  # n = ceil(4x), side by side
INTEGRATE = ("0000", "0000", "0001", "0001", "0101", "0101", "0111", "0111", "1111")  # floor(t x) grows
HALF = (torch.float16, torch.bfloat16)


def pixels(values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype).view(1, 1, 1, -1)


def strings(code):
    """One string of 0 and 1 per pixel, steps from left to right."""
    return tuple("".join(str(int(bit)) for bit in pixel) for pixel in code.flatten(1).T)


def one_hot(steps, count):
    return tuple("".join("1" if step == k else "0" for k in range(count)) for step in steps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("threshold", {}, TIME),
        ("rank", {}, RANK),
        ("latency", {}, one_hot(LATENCY, 4)),
        ("phase", {"order": "msb"}, PHASE),
        ("phase", {"order": "lsb"}, tuple(bits[::-1] for bits in PHASE)),
        ("burst", {}, BURST),
        ("integrate", {}, INTEGRATE),
    ],
)
def test_spikes_at_four_steps(name, settings, expected, dtype):
    code = build_encoder(name, 4, **settings)(pixels(VALUES, dtype))
    assert code.dtype == dtype
    assert strings(code) == expected


def test_the_rank_code_is_the_number_of_the_level():
    bits = build_encoder("rank", 4)(pixels(VALUES)).flatten(1).T.int()
    assert (bits @ torch.tensor([1, 2, 4, 8], dtype=torch.int32)).tolist() == list(RANK_LEVEL)


def test_hybrid_shows_the_image_and_then_the_spikes():
    code = build_encoder("hybrid", 4)(pixels(VALUES))
    assert torch.equal(code[0], pixels(VALUES))
    assert strings(code[1:]) == MIX_TIME
    mixed = build_encoder("hybrid", 5, temporal="rank")(pixels(VALUES))
    assert strings(mixed[1:]) == RANK
    single = build_encoder("single-spike", 5)(pixels(VALUES))
    assert torch.equal(single[0], pixels(VALUES))
    assert strings(single[1:]) == one_hot(LATENCY, 4)


def test_logarithmic_latency_is_early_heavy():
    code = build_encoder("latency-log", 8)(pixels((0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)))
    assert strings(code) == one_hot((7, 5, 3, 2, 1, 1, 0, 0), 8)


def test_silent_zero_masks_exact_zeros_only():
    for name in ("latency", "latency-log"):
        black, nearly = strings(build_encoder(name, 4, silent_zero=True)(pixels((0.0, 1e-6))))
        assert (black, nearly) == ("0000", "0001")


def test_a_long_burst_spreads_as_the_rule_says():
    burst = build_encoder("burst", 16, most=5)  # longest = 15 // 4 = 3
    expected = ("0" * 16, "1" + "0" * 15, "1001" + "0" * 12, "1010100000000000", "11111" + "0" * 11)
    assert strings(burst(pixels((0, 0.2, 0.3, 0.6, 1)))) == expected


@pytest.mark.parametrize("levels", [3, 5, 6, 7, 10, 15, 49, 127])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALF], ids=str)
def test_a_value_on_a_threshold_reaches_it(levels, dtype):
    """1 - 6/7 lies above 1/7 in double precision, 49 · (1/49) below 1: the tie rule must not see it."""
    steps = torch.arange(levels + 1, dtype=dtype)
    assert level(steps / levels, levels).tolist() == [*range(levels), levels - 1]
    assert level(steps / levels, levels, upper=True).tolist() == list(range(levels + 1))


@pytest.mark.parametrize(
    ("steps", "thresholds"),
    [
        (4, (0.6625, 0.5000, 0.3375)),
        (5, (0.6988, 0.5630, 0.4370, 0.3012)),
        (7, (0.7441, 0.6378, 0.5449, 0.4551, 0.3622, 0.2559)),
        (8, (0.7596, 0.6625, 0.5790, 0.5000, 0.4210, 0.3375, 0.2404)),
    ],
)
def test_equal_frequency_thresholds(steps, thresholds):
    assert build_encoder("threshold-equal", steps).thresholds.flip(0).tolist() == pytest.approx(thresholds, abs=5e-5)


def test_phase_weights_carry_the_pixel_as_direct_coding_does():
    image = torch.rand(2, 3, 5, 5)
    for order in ("lsb", "msb"):
        code = build_encoder("phase", 5, order=order, weigh=True)(image)
        assert torch.allclose(code.mean(0), (image * 32).floor() / 31)


def test_phase_lsb_first_is_weighed_by_a_leak_of_one_half():
    """The reason for this order: a membrane that halves per step ends as the pixel."""
    image = torch.rand(2, 3, 5, 5)
    membrane = torch.zeros_like(image)
    for plane in build_encoder("phase", 6)(image):
        membrane = (membrane + plane) / 2
    assert torch.equal(membrane, (image * 64).floor() / 64)


def test_integrate_is_the_neuron():
    """Values of few binary digits, which a membrane adds without rounding."""
    image = torch.arange(65).view(1, 1, 5, 13) / 64
    membrane, spikes = torch.zeros_like(image), []
    for _ in range(9):
        membrane = membrane + image
        spikes.append((membrane >= 1).float())
        membrane = membrane - spikes[-1]
    assert torch.equal(build_encoder("integrate", 9)(image), torch.stack(spikes))
