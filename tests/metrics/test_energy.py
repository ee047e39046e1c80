"""Energy by operation counts: the rules, by hand and against the published table."""

from types import SimpleNamespace

import pytest

from dvspipe.errors import UsageError
from dvspipe.metrics.energy import AC_PJ, MAC_PJ, energy

RATES = {"a": 0.5, "b": 0.1, "c": 0.0}


def layer(name, macs, gate=0, scale=0):
    return SimpleNamespace(name=name, macs=macs, gate_macs=gate, scale_macs=scale)


LAYERS = [layer("a", 1_000, gate=50, scale=70), layer("b", 2_000, gate=5), layer("c", 300)]


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


def test_published_saving_of_the_three_conv_net():
    """MA-SNN table 1: 3.4 times less with TCSA (rates .173 -> .026, a fifth of the pixels lit).

    It counts the making of the factors once per step, we once per clip as the released code does: hence not 3.4.
    """
    macs = {"conv1": 1_179_648, "conv2": 75_497_472, "conv3": 37_748_736, "fc1": 2_097_152, "out": 2_816}
    neurons = {"conv1": 65_536, "conv2": 32_768, "conv3": 8_192, "fc1": 0, "out": 0}
    plain = energy([layer(n, m) for n, m in macs.items()], dict.fromkeys(macs, 0.173), 0.2, 60)
    ours = energy([layer(n, m, scale=3 * neurons[n]) for n, m in macs.items()], dict.fromkeys(macs, 0.026), 0.2, 60)
    assert plain["energy_uj"] == pytest.approx(1_140, rel=0.01)
    assert plain["energy_uj"] / ours["energy_uj"] == pytest.approx(3.5, abs=0.15)


def test_silence_costs_only_the_first_layer_and_attention():
    result = energy([layer("a", 1_000), layer("b", 2_000)], {"a": 0.0, "b": 0.0}, 0.0, 10)
    assert result["energy_uj"] == 0.0 and result["ratio_to_ann"] is None
    assert AC_PJ < MAC_PJ


@pytest.mark.parametrize(
    ("rates", "density", "message"),
    [({"a": 0.5}, 0.1, "no firing rate for layer b, c"), (RATES, 1.5, "input of layer 'a' has rate 1.5"),
     ({**RATES, "a": -0.1}, 0.5, "input of layer 'b' has rate -0.1")],
)  # fmt: skip
def test_wrong_rates_are_named(rates, density, message):
    with pytest.raises(UsageError, match=message):
        energy(LAYERS, rates, density, 10)
