import pytest
from PIL import Image


@pytest.fixture
def touch(tmp_path):
    """touch("a/b.png", ...) makes files below tmp_path; a source must not open them."""

    def make(*names, content=b"not an image"):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path

    return make


@pytest.fixture
def draw(tmp_path):
    """draw("a/b.png", colour) makes an image of 5 x 3 pixels below tmp_path."""

    def make(name, colour=(200, 100, 50), **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 3), colour).save(path, **options)
        return path

    return make
