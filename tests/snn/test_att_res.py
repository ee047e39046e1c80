"""Att-Res-SNN: published counts, the two block variants, steps equal sequence (law 4), T = 1 weights at T = 4."""

import pytest
import torch

from dvspipe.errors import ShapeError, UsageError
from dvspipe.snn.counting import count_layers, count_network, kept_bytes, training_memory_bytes
from dvspipe.snn.networks import build_network
from dvspipe.snn.neurons import make_neuron

STEPS, BATCH, CLASSES = 3, 2, 4
SMALL = {"classes": CLASSES, "steps": STEPS, "width": 0.25, "size": (32, 32)}


def build(name="att-res-18", **changes):
    torch.manual_seed(0)
    return build_network(name, **{**SMALL, **changes})


def images(steps=STEPS, size=(32, 32), channels=3):
    torch.manual_seed(1)
    return torch.randn(steps, BATCH, channels, *size)


def settled(network, x):
    """In double precision and evaluation mode, with running statistics that are those of `x`."""
    network.double().train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches so far
    with torch.no_grad():
        network(x)
    return network.eval()


@pytest.mark.parametrize(
    ("depth", "attention", "params"),
    [
        (18, "CSA", 11_867_960),
        (34, "CSA", 22_116_552),
        (104, "CSA", 78_369_598),
        (18, "none", 11_693_736),
        (34, "none", 21_801_896),
        (104, "none", 77_284_264),
    ],
)
def test_published_parameters(depth, attention, params):
    with torch.device("meta"):
        network = build_network(f"att-res-{depth}", classes=1000, steps=1, attention=attention)
    counts = count_network(network)
    assert counts["params"] == params == sum(layer["parameters"] for layer in counts["layers"])


def test_costs_of_a_stage_by_hand():
    with torch.device("meta"):
        layers = {layer.name: layer for layer in count_layers(build_network("att-res-18", classes=1000, steps=1))}
    costs = {name: (layer.source, layer.neurons, layer.macs) for name, layer in layers.items()}
    assert costs["stem"] == ("input", 0, 3 * 64 * 49 * 112 * 112)
    assert costs["stage1.0.lif1"] == ("stage1.0.lif1", 64 * 112 * 112, 9 * 64 * 64 * 56 * 56)
    assert costs["stage1.0.lif2"] == ("stage1.0.lif2", 64 * 56 * 56, 9 * 64 * 64 * 56 * 56)
    assert costs["stage2.0.shortcut"] == ("dense", 0, 64 * 128 * 28 * 28)
    assert costs["lif"] == ("lif", 512 * 7 * 7, 0) and costs["out"] == ("lif", 0, 512 * 1000)
    assert "stage1.1.shortcut" not in layers


def test_probe_hears_the_neurons_that_are_counted():
    network, seen = build(attention="CSA"), {}
    out, _ = network(images(), probe=seen.__setitem__)
    neurons = {layer.name: layer.neurons for layer in count_layers(network) if layer.neurons}
    assert {name: spikes[0, 0].numel() for name, spikes in seen.items()} == neurons
    assert list(seen)[:2] == ["stage1.0.lif1", "stage1.0.lif2"] and list(seen)[-1] == "lif"
    assert all(set(spikes.unique().tolist()) == {0.0, 1.0} for spikes in seen.values())
    assert out.shape == (STEPS, BATCH, CLASSES)


@pytest.mark.parametrize("block", ["branch", "sum"])
@pytest.mark.parametrize("attention", ["none", "relu", "TA", "CSA", "TCSA"])
def test_gradients_reach_every_parameter(attention, block):
    # Gates around 1/2 on every sum would leave a network this small silent, with nothing to learn from.
    network = build(attention=attention, block=block, t_ratio=2, gate_gain=2)
    out, _ = network(images())
    out.mean(0).square().sum().backward()
    without = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    assert all(parameter.grad is not None for parameter in network.parameters())
    # The hidden units of a squeeze network may all be off on a sample: their ReLU's doing, no missing connection.
    assert not [name for name in without if "attention" not in name]


def test_where_attention_acts_is_what_the_equations_say():
    x = images().double()
    branch, total = (settled(build(attention="CSA", block=block), x) for block in ("branch", "sum"))
    total.load_state_dict(branch.state_dict())
    assert not torch.equal(branch(x)[0], total(x)[0])
    u = torch.randn(STEPS, BATCH, 16, 16, 16, dtype=torch.double)
    for network, expected in (
        (branch, lambda block, inner, short: block.attention(inner) + short),
        (total, lambda block, inner, short: block.attention(inner + short)),
    ):
        block, parts = network.layers["stage1"]["0"], {}
        block.weights2.register_forward_hook(lambda module, args, out, parts=parts: parts.update(inner=out))
        block.shortcut.register_forward_hook(lambda module, args, out, parts=parts: parts.update(short=out))
        out, _ = block(u, None)
        inner, short = (parts[key].unflatten(0, (STEPS, BATCH)) for key in ("inner", "short"))
        assert torch.equal(out, expected(block, inner, short))


@pytest.mark.parametrize(
    ("attention", "placement"),
    [("none", "released"), ("relu", "released"), ("CSA", "paper"), ("TCSA", "causal"), ("SimAM", "released")],
)
@pytest.mark.parametrize("block", ["branch", "sum"])
def test_steps_equal_the_whole_sequence(attention, placement, block):
    x = images().double()
    network = settled(build(attention=attention, placement=placement, block=block, attention_bins=2, t_ratio=1), x)
    with torch.no_grad():
        whole, last = network(x)
        state, stepped = None, []
        for frame in x:
            out, state = network.step(frame, state)
            stepped.append(out)
        first, carried = network(x[:1])
        rest, _ = network(x[1:], carried)
    assert network.live and whole.std() > 0
    torch.testing.assert_close(torch.stack(stepped), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat((first, rest)), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(state[1][0].v2, last[1][0].v2, rtol=0, atol=1e-12)


def test_released_attention_cannot_step_and_says_so():
    network = build(attention="CSA")
    assert not network.live
    with pytest.raises(UsageError, match="sliding clip"):
        network.step(images()[0])


@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("CSA", "paper")])
def test_weights_of_one_step_give_the_same_first_step_of_four(attention, placement):
    x = images(1).double()
    one = settled(build(steps=1, attention=attention, placement=placement), x)
    four = build(steps=4, attention=attention, placement=placement).double().eval()
    four.load_state_dict(one.state_dict())
    out, _ = four(x.repeat(4, 1, 1, 1, 1))
    assert torch.equal(out[0], one(x)[0][0])
    assert not torch.equal(out[1], out[0])  # the neurons carry something over


def test_weights_of_one_step_repeat_where_neurons_remember_nothing():
    """CSA of the released code pools over the clip; of equal steps that is what it pools of one."""
    x, neuron = images(1).double(), make_neuron("ms-resnet", keep=0.0)
    one = settled(build(steps=1, attention="CSA", neuron=neuron), x)
    four = build(steps=4, attention="CSA", neuron=neuron).double().eval()
    four.load_state_dict(one.state_dict())
    out, _ = four(x.repeat(4, 1, 1, 1, 1))
    torch.testing.assert_close(out, one(x)[0].expand(4, -1, -1), rtol=0, atol=1e-12)


def test_temporal_attention_belongs_to_its_steps():
    with pytest.raises(RuntimeError, match="size mismatch"):
        build(steps=4, attention="TA", t_ratio=1).load_state_dict(
            build(steps=1, attention="TA", t_ratio=1).state_dict()
        )


def test_batch_norms_start_as_published():
    block = build(attention="CSA").layers["stage2"]["0"]
    starts = [norm.weight.unique().tolist() for norm in (block.weights1[1], block.weights2[1], block.shortcut[1][1])]
    assert starts == [[0.5], [pytest.approx(0.1)], [0.5]]


@pytest.mark.parametrize("size", [(33, 47), (1, 1)])
def test_odd_sizes_and_polarities_pass(size):
    network = build(size=size, in_channels=2, attention="CSA").eval()
    assert network(images(size=size, channels=2))[0].shape == (STEPS, BATCH, CLASSES)


def test_dropout_takes_the_same_features_at_every_step():
    head = build(width=1.0).layers["out"].train()
    scores, _ = head(torch.ones(STEPS, BATCH, 512), None)
    assert torch.equal(scores[0], scores[1]) and not torch.equal(scores[0, 0], scores[0, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"block": "both"}, "unknown block 'both'.*branch, sum"), ({"classes": 0}, "classes=0"), ({"c_ratio": 99}, "c_ratio")],
)  # fmt: skip
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(UsageError, match=message):
        build(**{"attention": "CSA", **settings})


def test_a_state_of_another_network_is_named():
    _, state = build()(images())
    with pytest.raises(ShapeError, match="state of 2 layers does not fit this network of 3"):
        build("att-res-34")(images(), state)


@pytest.mark.parametrize("block", ["branch", "sum"])
@pytest.mark.parametrize(("attention", "placement"), [("none", "released"), ("CSA", "released"), ("CSA", "paper")])
def test_memory_estimate_is_near_what_autograd_keeps(attention, placement, block, kept_by_autograd):
    network = build(attention=attention, placement=placement, block=block)
    kept = kept_by_autograd(network, images())
    after = sum(part.neurons for part in count_layers(network)) * 4 * BATCH  # the state, which autograd does not keep
    assert kept_bytes(network, STEPS, BATCH, bits=False) == pytest.approx(kept + after, rel=0.1)


def test_memory_grows_with_batch_and_steps_and_shrinks_in_half_precision():
    with torch.device("meta"):
        network = build_network("att-res-18", classes=1000, steps=1, attention="CSA")
    base = training_memory_bytes(network, 1, 32)
    assert training_memory_bytes(network, 1, 64) > 1.8 * base and training_memory_bytes(network, 4, 32) > 2.7 * base
    assert 0.5 * base < training_memory_bytes(network, 1, 32, 2) < 0.75 * base
