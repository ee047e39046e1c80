"""Our mean pooling is torch's, forth and back, and keeps nothing of what it was given."""

import pytest
import torch

from dvspipe.snn.layers.mean_pool import MeanPool2d


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("size", "shape"), [(2, (3, 5, 8, 6)), (3, (2, 4, 9, 6)), (2, (2, 3, 7, 5)), (4, (1, 1, 4, 4))]
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_as_torch(size, shape, dtype, layout):
    torch.manual_seed(0)
    found = []
    x = torch.randn(shape, dtype=dtype).contiguous(memory_format=layout)
    for pool in (MeanPool2d(size), torch.nn.AvgPool2d(size)):
        here = x.clone().requires_grad_()
        out = pool(here)
        out.backward(torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out))
        found.append((out.detach(), here.grad))
    (out, grad), (wanted, wanted_grad) = found
    assert torch.equal(out, wanted)
    torch.testing.assert_close(grad, wanted_grad, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=0)


def test_keeps_nothing():
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        MeanPool2d(2)(torch.randn(2, 3, 8, 8, requires_grad=True))
    assert not kept
