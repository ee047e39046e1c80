"""Energy by operation counts: the rules, by hand and against the published table."""

from types import SimpleNamespace

import pytest

from dvspipe.errors import UsageError
from dvspipe.metrics.energy import AC_PJ, MAC_PJ, energy

RATES = {"a": 0.5, "b": 0.1, "c": 0.0}


def layer(name, macs, source, gate=0, scale=0, every_step=None, by_numbers=False, runs=None):
    gates = {"gate_macs": gate, "gate_macs_every_step": gate if every_step is None else every_step}
    rest = {"by_numbers": by_numbers, "runs": runs}
    return SimpleNamespace(name=name, macs=macs, source=source, scale_macs=scale, **rest, **gates)


LAYERS = [layer("a", 1_000, "input", gate=50, scale=70), layer("b", 2_000, "a", gate=5), layer("c", 300, "b")]


def test_every_rule_by_hand():
    result = energy(LAYERS, RATES, input_density=0.2, steps=10)
    first, second, third = 1_000 * 10 * 0.2 * 4.6e-6, 2_000 * 10 * 0.5 * 0.9e-6, 300 * 10 * 0.1 * 0.9e-6
    gate, scale = 55 * 4.6e-6, 70 * 10 * 4.6e-6
    breakdown = result["breakdown"]
    assert breakdown["layers"] == pytest.approx({"a": first, "b": second, "c": third})
    assert (breakdown["first_layer_uj"], breakdown["accumulate_uj"]) == pytest.approx((first, second + third))
    assert (breakdown["gate_uj"], breakdown["scale_uj"]) == pytest.approx((gate, scale))
    assert result["energy_uj"] == pytest.approx(first + second + third + gate + scale)
    assert result["energy_ann_uj"] == pytest.approx(3_300 * 10 * 4.6e-6)
    assert result["ratio_to_ann"] == pytest.approx(result["energy_ann_uj"] / result["energy_uj"])
    assert "dense_uj" not in breakdown


def test_a_residual_block_by_hand():
    """Neurons before weights, so a layer drives itself; the shortcut sees real numbers and pays MACs for all of them."""
    block = [layer("stem", 700, "input"), layer("lif1", 1_000, "lif1"), layer("lif2", 2_000, "lif2"),
             layer("shortcut", 300, "dense"), layer("out", 40, "lif")]  # fmt: skip
    result = energy(block, {"lif1": 0.5, "lif2": 0.1, "lif": 0.25}, input_density=1.0, steps=4)
    expected = {
        "stem": 700 * 4 * 4.6e-6,
        "lif1": 1_000 * 4 * 0.5 * 0.9e-6,
        "lif2": 2_000 * 4 * 0.1 * 0.9e-6,
        "shortcut": 300 * 4 * 4.6e-6,
        "out": 40 * 4 * 0.25 * 0.9e-6,
    }
    breakdown = result["breakdown"]
    assert breakdown["layers"] == pytest.approx(expected)
    assert breakdown["dense_uj"] == pytest.approx(expected["shortcut"])
    assert breakdown["accumulate_uj"] == pytest.approx(expected["lif1"] + expected["lif2"] + expected["out"])
    assert result["energy_uj"] == pytest.approx(sum(expected.values()))


def test_the_head_of_a_hybrid_network_by_hand():
    """Sums of spikes are real numbers: all MACs, as often as it runs and not at every step; its ANN twin likewise."""
    layers = [layer("a", 1_000, "input"), layer("head", 2_000, "a", runs=3), layer("out", 50, "dense", runs=3)]
    result = energy(layers, {"a": 0.25}, input_density=0.5, steps=12)
    breakdown = result["breakdown"]
    assert breakdown["head_uj"] == pytest.approx(2_050 * 3 * 4.6e-6)
    assert breakdown["accumulate_uj"] == 0 and "dense_uj" not in breakdown
    assert result["energy_uj"] == pytest.approx(breakdown["head_uj"] + 1_000 * 12 * 0.5 * 4.6e-6)
    assert result["energy_ann_uj"] == pytest.approx((1_000 * 12 + 2_050 * 3) * 4.6e-6)


def test_published_saving_of_the_three_conv_net():
    """MA-SNN table 1: 3.4 times less with TCSA (rates .173 -> .026, a fifth of the pixels lit).

    It counts the making of the factors once per step, we once per clip as the released code does: hence not 3.4.
    """
    macs = {"conv1": 1_179_648, "conv2": 75_497_472, "conv3": 37_748_736, "fc1": 2_097_152, "out": 2_816}
    neurons = {"conv1": 65_536, "conv2": 32_768, "conv3": 8_192, "fc1": 0, "out": 0}
    source = dict(zip(macs, ("input", *macs)))
    bare = [layer(name, macs[name], source[name]) for name in macs]
    attended = [layer(name, macs[name], source[name], scale=3 * neurons[name]) for name in macs]
    plain = energy(bare, dict.fromkeys(macs, 0.173), 0.2, 60)
    ours = energy(attended, dict.fromkeys(macs, 0.026), 0.2, 60)
    assert plain["energy_uj"] == pytest.approx(1_140, rel=0.01)
    assert plain["energy_uj"] / ours["energy_uj"] == pytest.approx(3.5, abs=0.15)


def test_silence_costs_only_the_first_layer_and_attention():
    result = energy([layer("a", 1_000, "input"), layer("b", 2_000, "a")], {"a": 0.0, "b": 0.0}, 0.0, 10)
    assert result["energy_uj"] == 0.0 and result["ratio_to_ann"] is None
    assert AC_PJ < MAC_PJ


@pytest.mark.parametrize(
    ("rates", "density", "message"),
    [({"a": 0.5}, 0.1, "no firing rate for 'b', the input of layer 'c'"), (RATES, 1.5, "input of layer 'a' has rate 1.5"),
     ({**RATES, "a": -0.1}, 0.5, "input of layer 'b' has rate -0.1")],
)  # fmt: skip
def test_wrong_rates_are_named(rates, density, message):
    with pytest.raises(UsageError, match=message):
        energy(LAYERS, rates, density, 10)
