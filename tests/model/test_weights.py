import pytest
import timm
import torch
from safetensors.torch import save_file
from skimage import data
from torchvision.transforms.v2 import functional as images

from oadls.errors import UserError
from oadls.model.weights import PACKAGED, create, fingerprint, packaged_weights

NAME = "tinynet_e"  # small, of the same family
CATS = range(281, 286)  # of ImageNet: tabby, tiger, Persian, Siamese, Egyptian


def same(a, b):
    return all(torch.equal(value, b.state_dict()[key]) for key, value in a.state_dict().items())


def test_chelsea_is_a_cat():
    model = timm.create_model(PACKAGED)
    model.load_state_dict(packaged_weights(f"{PACKAGED}.in1k"))
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1)  # (3, 300, 451)
    photo = images.resize(photo, [260], interpolation=images.InterpolationMode.BICUBIC)
    photo = images.center_crop(photo, [260, 260])[None] / 255
    assert model.eval()((photo - 0.5) / 0.5).argmax().item() in CATS


def test_package_weights_are_used_for_the_backbone():
    weights, model = packaged_weights(PACKAGED), create(name=PACKAGED, weights="package")
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert set(weights) - set(model.state_dict()) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("classes", [0, 7])
def test_a_local_file_is_loaded_whatever_classifier_it_holds(tmp_path, ending, classes):
    torch.manual_seed(3)
    saved = timm.create_model(NAME, num_classes=classes)
    path = tmp_path / f"weights.{ending}"
    if ending == "pth":
        torch.save({"state_dict": saved.state_dict()}, path)
    else:
        save_file(saved.state_dict(), path)
    assert same(create(name=NAME, weights=str(path)), saved)


def test_random_weights_depend_on_the_seed_alone_and_are_announced(caplog):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = create(name=NAME, weights="random", seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(create(name=NAME, weights="random", seed=5), first)
    assert not same(create(name=NAME, weights="random", seed=6), first)
    assert "nothing was learned" in caplog.text


def test_without_a_hub_the_error_names_both_ways_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"weights=PATH .*\.safetensors .* weights=random"):
        create(name="tf_efficientnetv2_b0.in1k", weights="hub")


@pytest.mark.parametrize(
    ("name", "weights", "rule"),
    [
        ("efficientnet_lite_9000", "random", "must be a timm model"),
        (f"{NAME}.in9k", "random", "no timm model: Invalid pretrained tag"),
        (NAME, "package", "holds tf_efficientnet_lite2 only"),
        (NAME, "no/such/file.pth", "path of a file"),
    ],
)
def test_what_cannot_be_had_is_named(name, weights, rule):
    with pytest.raises(UserError, match=rule):
        create(name=name, weights=weights)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_file_that_is_not_weights_is_named(tmp_path, ending):
    path = tmp_path / f"broken.{ending}"
    path.write_bytes(b"not weights at all")
    with pytest.raises(UserError, match="broken"):
        create(name=NAME, weights=str(path))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(timm.create_model("tinynet_d", num_classes=0).state_dict(), path)
    with pytest.raises(UserError, match=f"do not fit {NAME}"):
        create(name=NAME, weights=str(path))


def test_fingerprint_sees_every_bit_and_not_the_order():
    weights = {"a": torch.zeros(3), "b": torch.ones(2, 2), "n": torch.tensor(4)}
    same_weights = dict(reversed(weights.items()))
    assert fingerprint(same_weights) == fingerprint(weights)
    changed = {**weights, "a": torch.tensor([0.0, 0.0, 1e-45])}
    assert fingerprint(changed) != fingerprint(weights)
    assert fingerprint({**weights, "b": torch.ones(4)}) != fingerprint(weights)
