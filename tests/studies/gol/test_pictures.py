"""The drawn target and pictures from files."""

import numpy as np
import pytest
from PIL import Image

from studies.gol.pictures import from_file, wizards


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (100, 160), (161, 90), (512, 512), (1024, 1024)])
def test_wizards_at_every_size(shape):
    board = wizards(*shape)
    assert board.shape == shape and board.dtype == bool
    # The published picture has 0.658 of ones; beside a square drawing there is more sky and ground.
    assert abs(board.mean() - 0.66) < (0.03 if shape[0] == shape[1] else 0.12)


def test_wizards_is_the_same_drawing_at_every_size():
    large, small = wizards(512, 512), wizards(128, 128)
    shrunk = large.reshape(128, 4, 128, 4).mean((1, 3))
    certain = (shrunk == 0) | (shrunk == 1)
    assert certain.mean() > 0.9
    assert np.mean((shrunk == 1)[certain] == small[certain]) > 0.999


def test_tiny_boards():
    assert wizards(3, 3).shape == (3, 3)


def save(array, path, mode=None):
    Image.fromarray(np.asarray(array, np.uint8), mode).save(path)
    return str(path)


def test_dark_pixels_are_ones(tmp_path):
    picture = np.full((8, 8, 3), 255)
    picture[2:5, 3:7] = (20, 30, 90)
    expected = np.zeros((8, 8), bool)
    expected[2:5, 3:7] = True
    assert np.array_equal(from_file(save(picture, tmp_path / "a.png"), 8, 8), expected)


def test_grey_is_split_at_half_and_transparent_is_bright(tmp_path):
    grey = np.array([[0, 127, 128, 255]] * 4)
    assert np.array_equal(from_file(save(grey, tmp_path / "grey.png"), 4, 4)[0], [True, True, False, False])
    clear = np.zeros((4, 4, 4))
    clear[:, :2, 3] = 255
    assert np.array_equal(from_file(save(clear, tmp_path / "clear.png"), 4, 4)[0], [True, True, False, False])


def test_shape_is_kept_and_the_picture_centred(tmp_path):
    picture = np.zeros((10, 40))
    picture[:, 20:] = 255
    board = from_file(save(picture, tmp_path / "wide.png"), 30, 20)
    assert board.shape == (30, 20)
    expected = np.zeros((30, 20), bool)
    expected[12:17, :10] = True
    assert np.array_equal(board, expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "there is no such file"),
        ("text.png", b"no picture", "cannot be read as a picture"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "cannot be read as a picture"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        from_file(str(path), 16, 16)


def test_truncated_picture(tmp_path):
    path = tmp_path / "half.png"
    save(np.random.default_rng(0).integers(0, 256, (64, 64)), path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        from_file(str(path), 16, 16)


@pytest.mark.parametrize(("brightness", "word"), [(0, "dark"), (255, "bright")])
def test_uniform_picture(tmp_path, brightness, word):
    path = save(np.full((8, 8), brightness), tmp_path / "flat.png")
    with pytest.raises(ValueError, match=f"all {word}"):
        from_file(path, 8, 8)
