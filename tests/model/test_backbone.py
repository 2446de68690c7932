import pytest
import timm
import torch

from oadls.errors import UserError
from oadls.model.backbone import Backbone

NAME = "tinynet_e"  # a timm EfficientNet of 9 pieces: stem, 7 stages, head
PIECES, SIZE = 9, 64


def backbone(**settings):
    defaults = {"name": NAME, "weights": "random", "size": SIZE, "taps": [2, 3, 5, -1]}
    return Backbone(**{**defaults, **settings})


def pixels(*, batch=2, size=SIZE):
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 3, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def reference():
    """What timm computes: the tapped stages and the final map."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(NAME, num_classes=0).eval()
    x = (pixels() / 255 - 0.5) / 0.5
    with torch.no_grad():
        last, stages = model.forward_intermediates(x, indices=[2, 3, 5], extra_blocks=True)
    return [*stages, last]


@pytest.mark.parametrize("train_last", [*range(PIECES + 1), "all"])
def test_trunk_and_tail_give_what_timm_gives_wherever_the_cut_lies(reference, train_last):
    network = backbone(train_last=train_last).eval()
    maps = network.tail(network.trunk(pixels()))
    assert len(maps) == len(reference) == 4
    for ours, theirs in zip(maps, reference, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("taps", "train_last"), [([0], 0), ([0], "all"), ([2, 3, 5, -1], 2), ([4, 6], 3)]
)
def test_channels_and_sizes_are_those_of_the_maps(taps, train_last):
    network = backbone(taps=taps, train_last=train_last)
    maps = network(pixels(batch=1))
    assert network.channels == tuple(m.shape[1] for m in maps)
    assert network.sizes == tuple(tuple(m.shape[2:]) for m in maps)


@pytest.mark.parametrize("train_last", [0, 3, "all"])
def test_the_cover_comes_first_wherever_the_cut_lies(reference, train_last):
    network = backbone(taps=["cover", 2, 3, 5, -1], train_last=train_last).eval()
    images = pixels()
    images[0, :, :, 20:] = 0  # a cell on black, 20 px wide
    cover, *maps = network(images)
    assert network.channels[0] == 1
    assert network.sizes[0] == tuple(cover.shape[2:]) == (8, 8)
    columns = torch.tensor([1, 1, 0.5, 0, 0, 0, 0, 0])
    torch.testing.assert_close(cover[0, 0], columns.expand(8, 8))
    assert (cover[1] == 1).all()
    for ours, theirs in zip(maps, reference, strict=True):
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-5)


def test_bytes_and_floats_are_the_same_image():
    network = backbone()
    for a, b in zip(network(pixels()), network(pixels() / 255), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_does_not_change_the_maps(reference, channels_last):
    last = backbone(channels_last=channels_last)(pixels())[-1]
    torch.testing.assert_close(last, reference[-1], rtol=1e-4, atol=1e-5)


def test_trunk_keeps_the_map_at_the_cut_once():
    assert len(backbone(taps=[-1]).trunk(pixels())) == 1
    assert len(backbone(train_last=1).trunk(pixels())) == 4  # three taps, and what the head needs
    assert len(backbone(train_last=3).trunk(pixels())) == 3  # the cut is a tap


def test_trunk_of_a_wholly_trained_network_is_the_image():
    (kept,) = backbone(train_last="all").trunk(pixels())
    assert torch.equal(kept, pixels())


def test_maps_cached_in_half_precision_can_be_continued():
    network = backbone(train_last=2)
    kept = network.trunk(pixels())
    exact, rounded = network.tail(kept), network.tail(tuple(m.half() for m in kept))
    assert rounded[0].dtype == torch.float32
    torch.testing.assert_close(rounded[-1], exact[-1], rtol=0.02, atol=0.02)


def test_training_moves_the_tail_and_neither_the_trunk_nor_any_statistics(tmp_path):
    torch.save(timm.create_model(NAME).state_dict(), tmp_path / "pretrained.pth")
    network = backbone(weights=str(tmp_path / "pretrained.pth"), train_last=2).train()
    before = {key: value.clone() for key, value in network.named_parameters()}
    statistics = {key: value.clone() for key, value in network.named_buffers()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(pixels())[-1].sum().backward()
        optimizer.step()
    for key, value in network.named_parameters():
        assert torch.equal(value, before[key]) == key.startswith("frozen"), key
    assert all(torch.equal(value, statistics[key]) for key, value in network.named_buffers())


def test_from_scratch_the_trained_pieces_learn_their_statistics_and_the_trunk_keeps_its():
    network = backbone(train_last=2).train()
    before = {key: value.clone() for key, value in network.named_buffers()}
    network(pixels())
    moved = {key for key, value in network.named_buffers() if not torch.equal(value, before[key])}
    wanted = {key for key in before if key.startswith("trained") and "running" in key}
    assert moved == wanted | {key for key in before if key.startswith("trained")}
    assert wanted
    before = {key: value.clone() for key, value in network.named_buffers()}
    network.eval()(pixels())
    assert all(torch.equal(value, before[key]) for key, value in network.named_buffers())


def test_frozen_maps_carry_no_graph():
    network = backbone(train_last=1).train()
    assert not any(m.requires_grad for m in network.trunk(pixels()))
    assert [m.requires_grad for m in network(pixels())] == [False, False, False, True]


def test_pieces_that_no_head_reads_are_not_kept():
    assert len(backbone(taps=[3]).frozen) == 4


def test_checkpoint_holds_the_tail_and_the_fingerprint_of_the_trunk():
    network = backbone(train_last=1)
    keys = {key.split(".")[0] for key in network.state_dict()}
    assert keys == {"trained", "_extra_state"}
    assert len(backbone().state_dict()) == 1


def test_checkpoint_is_loaded_strictly_on_the_same_trunk():
    saved, fresh = (torch.nn.ModuleDict({"b": backbone(train_last=1)}) for _ in range(2))
    with torch.no_grad():
        for parameter in saved["b"].trained.parameters():
            parameter.add_(0.5)
    state = saved.state_dict()
    fresh.load_state_dict(state, strict=True)
    assert not any(".frozen." in key for key in state)
    assert torch.equal(saved["b"](pixels())[-1], fresh["b"](pixels())[-1])


def test_checkpoint_of_another_trunk_is_refused():
    with pytest.raises(UserError, match="frozen tinynet_e with weights"):
        backbone(seed=1).load_state_dict(backbone(seed=0).state_dict())


def test_fingerprint_is_of_the_frozen_weights():
    assert backbone().weights_sha256 == backbone().weights_sha256
    assert backbone(seed=1).weights_sha256 != backbone(seed=0).weights_sha256
    assert backbone(train_last=1).weights_sha256 != backbone().weights_sha256


def test_random_weights_say_that_they_are():
    assert not backbone().pretrained
    assert Backbone(name="tf_efficientnet_lite2", weights="package", size=64).pretrained


def test_efficientnetv2_m_gives_the_maps_of_the_paper():
    network = backbone(name="tf_efficientnetv2_m.in21k_ft_in1k", size=384, train_last="all")
    assert network.channels == (48, 80, 176, 1280)
    assert network.sizes == ((96, 96), (48, 48), (24, 24), (12, 12))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(52.86e6, rel=1e-4)


@pytest.mark.parametrize("train_last", [0, "all"])
def test_other_convolutional_networks_are_one_piece(train_last):
    network = backbone(name="resnet18", taps=[-1], train_last=train_last).eval()
    assert network.channels == (512,)
    assert network.sizes == ((2, 2),)
    assert network(pixels())[0].shape == (2, 512, 2, 2)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"taps": [3, 2]}, "taps must rise within the 9 pieces"),
        ({"taps": [9]}, "taps must rise"),
        ({"taps": []}, "taps must rise"),
        ({"taps": ["cover"]}, "taps must rise"),
        ({"taps": ["edge", 2]}, "taps are numbers, and cover"),
        ({"train_last": 10}, "train_last must be all or 0 to 9"),
        ({"train_last": "some"}, "it is 'some'"),
        ({"name": "resnet18", "taps": [1, 2]}, "only EfficientNets have more than one"),
    ],
)
def test_pieces_that_are_not_there_are_refused(settings, rule):
    with pytest.raises(UserError, match=rule):
        backbone(**settings)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(B, 3, 64, 64\), got \(2, 3, 96, 96\)"):
        backbone()(pixels(size=96))
