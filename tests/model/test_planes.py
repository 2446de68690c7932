import pytest
import torch

from oadls.model.planes import ProjectedPlane, PyramidPlane, SerpentinePlane


def test_serpentine_walks_every_other_row_backwards():
    plane = SerpentinePlane(channels=[1], sizes=[(3, 3)])
    maps = torch.arange(9.0).view(1, 1, 3, 3)
    assert plane((maps,)).flatten().tolist() == [0, 1, 2, 5, 4, 3, 6, 7, 8]


def test_serpentine_neighbours_in_time_are_neighbours_in_the_image():
    plane = SerpentinePlane(channels=[1], sizes=[(5, 7)])
    rows, columns = plane.order // 7, plane.order % 7
    assert ((rows.diff().abs() + columns.diff().abs()) == 1).all()
    assert sorted(plane.order.tolist()) == list(range(35))


def test_serpentine_keeps_channels_as_frequencies():
    maps = torch.randn(2, 6, 4, 4)
    plane = SerpentinePlane(channels=[3, 6], sizes=[(8, 8), (4, 4)])
    out = plane((torch.randn(2, 3, 8, 8), maps))
    assert out.shape == (2, 1, 6, 16)
    assert torch.equal(out[:, 0, :, 0], maps[:, :, 0, 0])
    assert torch.equal(out[:, 0, :, 4], maps[:, :, 1, 3])


@pytest.mark.parametrize("size", [(9, 9), (12, 12), (7, 5)])
@pytest.mark.parametrize("reading", [SerpentinePlane, ProjectedPlane, PyramidPlane])
def test_every_reading_takes_any_map_size_and_says_its_shape(reading, size):
    sizes = [(2 * size[0], 2 * size[1]), size]
    plane = reading(channels=[3, 40], sizes=sizes)
    out = plane((torch.randn(2, 3, *sizes[0]), torch.randn(2, 40, *sizes[1])))
    assert out.shape == (2, plane.channels, plane.frequency, plane.time)


def test_projected_plane_has_128_bands():
    plane = ProjectedPlane(channels=[1280], sizes=[(12, 12)])
    assert (plane.channels, plane.frequency, plane.time) == (1, 128, 144)


def test_pyramid_keeps_the_place_of_what_it_sees():
    plane = PyramidPlane(channels=[1, 1], sizes=[(24, 24), (12, 12)]).eval()
    fine, coarse = torch.zeros(1, 1, 24, 24), torch.zeros(1, 1, 12, 12)
    fine[..., 4:6, 20:22] = coarse[..., 2, 10] = 1.0  # the same spot
    out = plane((fine, coarse)).abs()  # (1, 64, 96, 96)
    for bands in (out[0, :32], out[0, 32:]):
        row, column = divmod(bands.sum(0).argmax().item(), 96)
        assert 16 <= row < 24
        assert 80 <= column < 88
