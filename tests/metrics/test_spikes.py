"""Spike statistics: one definition, accumulated exactly."""

import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.metrics.spikes import SpikeProbe


def clip(batch, seed=0):
    torch.manual_seed(seed)
    return {"a": (torch.rand(4, batch, 3, 5, 2) < 0.3).float(), "b": (torch.rand(4, batch, 7) < 0.6).bfloat16()}


def show(probe, clips):
    for name, spikes in clips.items():
        probe(name, spikes)


def test_definition_by_hand():
    probe = SpikeProbe()
    probe("wide", torch.tensor([[[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]]))  # [T=2,B=1,3]
    probe("narrow", torch.tensor([[[1.0]], [[0.0]]]))
    result = probe.result()
    assert result["nasar_per_step"] == [2 / 4, 2 / 4] and result["nasar"] == 0.5
    assert result["spikes_per_sample"] == 4.0
    assert result["rates"] == {"wide": 0.5, "narrow": 0.5}
    assert result["rates_per_step"]["narrow"] == [1.0, 0.0]
    assert (result["samples"], result["steps"], result["input_density"]) == (1, 2, None)


def test_batches_of_any_size_give_what_one_batch_gives():
    whole, parts, clips = SpikeProbe(), SpikeProbe(), clip(5)
    show(whole, clips)
    for start, stop in ((0, 1), (1, 1), (1, 5)):
        show(parts, {name: spikes[:, start:stop] for name, spikes in clips.items()})
    ours, wanted = parts.result(), whole.result()
    for key in ("nasar", "nasar_per_step", "rates", "spikes_per_sample", "samples"):
        assert ours[key] == pytest.approx(wanted[key])
    assert whole.result()["nasar"] == pytest.approx(sum(float(z.sum()) for z in clips.values()) / (37 * 4 * 5))


def test_spike_count_is_nasar_times_neurons_times_steps():
    probe = SpikeProbe()
    show(probe, clip(3))
    result = probe.result()
    assert result["spikes_per_sample"] == pytest.approx(result["nasar"] * 37 * 4)


def test_memory_order_does_not_matter():
    probe, spikes = SpikeProbe(), clip(2)["a"]
    probe("a", spikes.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (4, 2)))
    assert probe.result()["spikes_per_sample"] * 2 == float(spikes.sum())


def test_input_density_counts_pixels_of_all_batches():
    probe = SpikeProbe()
    show(probe, clip(1))
    probe.see_input(torch.tensor([[0, 3], [1, 0]]))
    probe.see_input(torch.zeros(6))
    assert probe.result()["input_density"] == 0.2


def test_nothing_seen_is_an_error():
    with pytest.raises(UsageError, match="no spikes were counted"):
        SpikeProbe().result()


@pytest.mark.parametrize("shape", [(5, 2, 7), (4, 2, 8)])
def test_another_length_or_network_is_an_error(shape):
    probe = SpikeProbe()
    show(probe, clip(2))
    with pytest.raises(ShapeError, match="layer 'b' gave"):
        probe("b", torch.zeros(shape))


def test_what_leaves_a_maximum_pool_is_no_neuron():
    probe = SpikeProbe()
    show(probe, clip(2))
    before = probe.result()
    again = SpikeProbe()
    show(again, {**clip(2), "a.pooled": torch.ones(4, 2, 3, 2, 1)})
    after = again.result()
    assert after["pooled_rates"] == {"a.pooled": 1.0}
    assert {key: after[key] for key in ("nasar", "rates", "spikes_per_sample")} == {
        key: before[key] for key in ("nasar", "rates", "spikes_per_sample")
    }
