"""Laws that every encoder keeps: what comes out, what is refused, and how much of the image is left."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dvspipe.encoders.choice import ENCODERS, build_encoder
from dvspipe.encoders.codes import SPIKE_CODES
from dvspipe.errors import ShapeError, UsageError

OURS = ("direct", *SPIKE_CODES, "hybrid", "single-spike")
UNIT = tuple(name for name in OURS if name != "direct")
NEEDS_TWO = ("latency", "latency-log", "threshold", "threshold-equal", "rank", "hybrid", "single-spike")
HYBRIDS = [("hybrid", {"temporal": name}) for name in SPIKE_CODES]
EVERY = [*((name, {}) for name in OURS), *HYBRIDS, ("phase", {"order": "msb"}), ("latency", {"silent_zero": True})]
EXACT = [each for each in EVERY if each[0] != "poisson"]


def image(dtype=torch.float32):
    made = torch.rand(3, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    made[0, 0, 0, :3] = torch.tensor([0.0, 1.0, 0.5])
    return made.to(dtype)


def test_the_table_holds_every_encoder():
    assert set(OURS) <= set(ENCODERS)
    assert all(ENCODERS[name].name == name for name in OURS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("steps", [2, 3, 4, 7])
@pytest.mark.parametrize(("name", "options"), EVERY)
def test_shape_type_and_binary_spikes(name, options, steps, dtype):
    encoder = build_encoder(name, steps, **options)
    code = encoder(image(dtype))
    assert code.shape == (steps, 3, 2, 6, 5)
    assert code.dtype == dtype
    assert len(encoder.analog) == len(encoder.spike_driven) == encoder.steps == steps
    for plane, analog, spikes in zip(code, encoder.analog, encoder.spike_driven):
        assert analog != spikes
        assert torch.equal(plane, image(dtype)) if analog else set(plane.unique().tolist()) <= {0.0, 1.0}
    assert encoder.decode(code).dtype == dtype
    assert not list(encoder.parameters())


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_memory_layout_of_the_image_does_not_matter(name, options):
    encoder = build_encoder(name, 4, **options)
    codes = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        codes.append(encoder(image().to(memory_format=layout)))
    assert torch.equal(*codes)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_only_poisson_depends_on_chance(name, options):
    encoder = build_encoder(name, 4, **options)
    same = torch.equal(encoder(image()), encoder(image()))
    assert same != ("poisson" in (name, options.get("temporal")))


@pytest.mark.parametrize("steps", [2, 4, 7, 11])
@pytest.mark.parametrize(("name", "options"), EXACT)
@settings(max_examples=15, deadline=None)
@given(values=arrays("float32", (1, 1, 3, 4), elements=st.floats(0, 1, width=32)))
def test_decoding_keeps_to_the_bound(name, options, steps, values):
    encoder = build_encoder(name, steps, **options)
    pixels = torch.from_numpy(values)
    gap = (encoder.target(pixels) - encoder.decode(encoder(pixels))).abs().max()
    assert gap <= encoder.bound + 1e-6


@pytest.mark.parametrize(("name", "options"), EXACT)
def test_the_bound_is_not_idle(name, options):
    """A fine ramp comes within a hundredth of the bound, so the bound is the error's and not just any number."""
    encoder = build_encoder(name, 4, **options)
    ramp = torch.linspace(0, 1, 40_000).view(1, 1, 200, 200)
    gap = (encoder.target(ramp) - encoder.decode(encoder(ramp))).abs().max()
    if name == "threshold-equal":  # layer norm of a ramp never reaches the ends of (0,1)
        assert encoder.bound / 3 < gap <= encoder.bound
    else:
        assert gap == pytest.approx(encoder.bound, abs=0.01 * encoder.bound + 1e-6)


@pytest.mark.parametrize("steps", [2, 5])
@pytest.mark.parametrize("temporal", [name for name in SPIKE_CODES if name != "poisson"])
def test_the_spikes_of_a_hybrid_keep_to_their_bound_by_themselves(temporal, steps):
    encoder = build_encoder("hybrid", steps, temporal=temporal)
    spikes, ramp = encoder.code, torch.linspace(0, 1, 500).view(1, 1, 20, 25)
    gap = (spikes.target(ramp) - spikes.decode(encoder(ramp)[1:])).abs().max()
    assert gap <= spikes.bound + 1e-6
    assert encoder.bound == 0


@pytest.mark.parametrize("steps", [2, 4, 7])
def test_reconstruction_within_one_step(steps):
    for name in ("threshold", "integrate", "burst"):
        encoder = build_encoder(name, steps)
        assert encoder.bound <= 1 / steps
        assert (encoder.decode(encoder(image())) - image()).abs().max() <= 1 / steps


@pytest.mark.parametrize("name", ["threshold", "threshold-equal", "latency", "latency-log"])
@pytest.mark.parametrize("steps", [2, 4, 7])
def test_every_pixel_spikes_exactly_once(name, steps):
    assert torch.equal(build_encoder(name, steps)(image()).sum(0), torch.ones_like(image()))


@pytest.mark.parametrize("name", ["threshold", "threshold-equal", "latency", "latency-log"])
def test_brighter_pixels_never_spike_later(name):
    ramp = torch.linspace(0, 1, 101).view(1, 1, 1, -1)
    assert (build_encoder(name, 6)(ramp).argmax(0).diff() <= 0).all()


def test_pixels_darker_than_a_step_are_only_in_the_analog_step():
    dark = torch.tensor([0.0, 0.2499, 0.25]).view(1, 1, 1, 3)
    assert build_encoder("hybrid", 4)(dark)[1:].sum(0).flatten().tolist() == [0, 0, 1]


@pytest.mark.parametrize("steps", [4, 7])
def test_equal_frequency_gives_every_step_its_share_of_normal_pixels(steps):
    torch.manual_seed(0)
    normal = (0.5 + 0.09 * torch.randn(4, 3, 100, 100)).clamp(0, 1)
    share = build_encoder("threshold-equal", steps)(normal).mean((1, 2, 3, 4))
    assert share.tolist() == pytest.approx([1 / steps] * steps, abs=0.005)


def test_fitted_thresholds_give_equal_shares_of_any_images_and_are_kept():
    torch.manual_seed(0)
    skewed = torch.rand(8, 1, 20, 20) ** 4
    encoder = build_encoder("threshold-equal", 5)
    before = encoder(skewed).mean((1, 2, 3, 4))
    encoder.fit(skewed)
    after = encoder(skewed).mean((1, 2, 3, 4))
    assert (before - 0.2).abs().max() > 0.05
    assert after.tolist() == pytest.approx([0.2] * 5, abs=0.002)
    again = build_encoder("threshold-equal", 5)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(skewed), encoder(skewed))


def test_an_even_image_has_a_code():
    assert build_encoder("threshold-equal", 4)(torch.full((1, 3, 4, 4), 0.7)).sum() == 48


def test_direct_coding_is_one_image_in_memory():
    original = image()
    code = build_encoder("direct", 6)(original)
    assert code.stride()[0] == 0
    assert code.data_ptr() == original.data_ptr()
    assert ENCODERS["direct"].repeats
    assert not any(ENCODERS[name].repeats for name in UNIT)


def test_direct_coding_takes_normalised_images_and_passes_gradients():
    normalised = (image() * 4 - 2).requires_grad_()
    build_encoder("direct", 3)(normalised).sum().backward()
    assert torch.equal(normalised.grad, torch.full_like(image(), 3))


def test_poisson_has_the_mean_and_variance_of_independent_draws():
    torch.manual_seed(0)
    for x in (0.0, 0.2, 0.5, 0.9, 1.0):
        code = build_encoder("poisson", 10)(torch.full((1, 1, 200, 200), x))
        rate = code.mean(0)
        assert rate.mean().item() == pytest.approx(x, abs=0.005)
        assert rate.var().item() == pytest.approx(x * (1 - x) / 10, rel=0.05, abs=1e-7)


def test_poisson_follows_torchs_seed():
    encoder, codes = build_encoder("poisson", 5), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        codes.append(encoder(image()))
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])


def test_stems_of_the_hybrids():
    assert build_encoder("hybrid", 4).own_stem
    assert not build_encoder("hybrid", 4, own_stem=False).own_stem
    assert not build_encoder("single-spike", 4).own_stem
    assert build_encoder("hybrid", 3).analog == (True, False, False)
    assert build_encoder("direct", 3).spike_driven == (False, False, False)


@pytest.mark.parametrize("name", UNIT)
def test_a_normalised_image_is_refused(name):
    with pytest.raises(UsageError, match=rf"'{name}' takes pixel values in \[0,1\], got -2..2: a normalised image"):
        build_encoder(name, 4)(torch.linspace(-2, 2, 12).view(1, 3, 2, 2))


@pytest.mark.parametrize("name", UNIT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_rounding_error_of_mixing_is_no_fault(name, dtype):
    eps = torch.finfo(dtype).eps
    code = build_encoder(name, 4)(torch.tensor([-eps, 1 + eps, 0.5, 0.0], dtype=dtype).view(1, 1, 2, 2))
    assert code.min() >= 0
    assert code.max() <= 1


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused_and_the_image_named(name, bad):
    broken = image()
    broken[1, 1, 2, 2] = bad
    with pytest.raises(UsageError, match="image 1 of the batch holds NaN or infinity"):
        build_encoder(name, 4)(broken)


@pytest.mark.parametrize("name", OURS)
def test_images_of_another_kind_are_refused(name):
    encoder = build_encoder(name, 4)
    with pytest.raises(UsageError, match="floating-point pixels, got uint8: divide"):
        encoder(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(ShapeError, match=r"images \[B,C,H,W\].*got \[3, 4, 4\]"):
        encoder(torch.zeros(3, 4, 4))
    with pytest.raises(ShapeError, match=r"got \[0, 3, 4, 4\]"):
        encoder(torch.zeros(0, 3, 4, 4))
    with pytest.raises(ShapeError, match=rf"'{name}', T = 4"):
        encoder.decode(torch.zeros(3, 1, 3, 4, 4))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("steps", [0, -1, 2.0, True, "4"])
def test_a_number_of_steps_that_cannot_be_is_refused(name, steps):
    with pytest.raises(UsageError, match=f"'{name}' cannot have T = {steps!r}"):
        build_encoder(name, steps)


@pytest.mark.parametrize("name", OURS)
def test_one_step_is_refused_where_the_code_needs_two(name):
    if name in NEEDS_TWO:
        with pytest.raises(UsageError, match=r"cannot have T = 1 steps: it takes 2 to .* use encoder direct"):
            build_encoder(name, 1)
    else:
        assert build_encoder(name, 1)(image()).shape[0] == 1


@pytest.mark.parametrize(("name", "most"), [("rank", 16), ("phase", 16), ("latency-log", 64)])
def test_more_steps_than_a_pixel_can_fill_are_refused(name, most):
    assert build_encoder(name, most)(image()).isfinite().all()
    with pytest.raises(UsageError, match=f"to {most}"):
        build_encoder(name, most + 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("latncy", {}, r"unknown encoder 'latncy' \(did you mean 'latency'\?\)"),
        ("latency", {"silent_zeros": True}, r"no setting 'silent_zeros' \(did you mean 'silent_zero'\?\)"),
        ("poisson", {"steps_": 3}, "known are none"),
        ("burst", {"most": "5"}, r"most = '5' is not of type int \| None"),
        ("burst", {"most": True}, "is not of type"),
        ("burst", {"most": 9}, "do not fit in T = 4"),
        ("burst", {"most": 0}, "do not fit in T = 4"),
        ("burst", {"most": 2, "longest": 4}, "do not fit in T = 4"),
        ("phase", {"order": "msbb"}, r"unknown order 'msbb' \(did you mean 'msb'\?\)"),
        ("hybrid", {"temporal": "direct"}, "unknown spike code for encoder.temporal 'direct'"),
        ("hybrid", {"settings": {"order": "msb"}}, "'threshold' has no setting 'order'"),
    ],
)
def test_words_that_do_not_exist_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message):
        build_encoder(name, 4, **options)


def test_a_hybrid_hands_settings_to_its_code():
    made = build_encoder("hybrid", 5, temporal="phase", settings={"order": "msb"})
    assert torch.equal(made(image())[1:], build_encoder("phase", 4, order="msb")(image()))
