import copy

import pytest
import timm
import torch
from timm.layers import BatchNormAct2d

from oadls.model.folding import fold_batch_norms


@pytest.mark.parametrize("name", ["tinynet_e", "tf_efficientnetv2_b0"])  # both kinds of block
def test_folded_network_gives_the_same_maps(name):
    torch.manual_seed(0)
    plain = timm.create_model(name, num_classes=0).eval().requires_grad_(False)
    for module in plain.modules():  # statistics as after training, not zeros and ones
        if isinstance(module, BatchNormAct2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(std=0.1)
    folded = copy.deepcopy(plain)
    fold_batch_norms(folded)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(
        folded.forward_features(images), plain.forward_features(images), rtol=1e-3, atol=1e-4
    )
    assert not any(isinstance(module, BatchNormAct2d) for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
