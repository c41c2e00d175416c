"""Where images come from: the three parts never share an image, and folders that do not fit are refused in words."""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from memprof.base.errors import InputError, UsageError
from memprof.nas.train import decoded as decoded_module
from memprof.nas.train import images as images_module
from memprof.nas.train.data import load_test, load_training
from memprof.nas.train.encoded import Encoded
from memprof.nas.train.images import Images

# torchvision 0.29 names a successor on every picture that it decodes.
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")

NOWHERE = Path("nowhere")
"""Root of downloads for data sets that need none."""

SIZE = (6, 4)
"""Height and width of the tiny pictures."""


def write_images(place: Path, shades: Sequence[int], size: tuple[int, int] = SIZE) -> None:
    """Write one picture of each shade of grey into ``place``."""
    place.mkdir(parents=True)
    for i, shade in enumerate(shades):
        Image.new("RGB", (size[1], size[0]), (shade,) * 3).save(place / f"{i}.png")


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Return a data set of three classes with five pictures each, told apart by their shade, and no test part."""
    for label, name in enumerate(("ant", "bee", "cat")):
        write_images(tmp_path / "train" / name, [10 * label + i for i in range(5)])
    return tmp_path


def pictures(*parts: Images) -> Counter[tuple[bytes, int]]:
    return Counter(
        (pixels.numpy().tobytes(), label)
        for part in parts
        for pixels, label in zip(part.pixels, part.labels.tolist(), strict=True)
    )


def shades(images: Images) -> Mapping[int, list[int]]:
    """Return for each label the shades of its pictures."""
    found: dict[int, list[int]] = {}
    for pixels, label in zip(images.pixels, images.labels.tolist(), strict=True):
        found.setdefault(label, []).append(int(pixels[0, 0, 0]))
    return {label: sorted(values) for label, values in sorted(found.items())}


def test_training_validation_and_test_images_are_all_digits_each_in_one_part() -> None:
    data, test = load_training("digits", root=NOWHERE), load_test("digits", root=NOWHERE)
    parts = (data.training, data.validation, test)
    assert [len(part) for part in parts] == [1151, 287, 359]
    found = load_digits()
    whole = Images(
        torch.from_numpy((found.images * (255 / 16)).astype(np.uint8)).unsqueeze(1), torch.from_numpy(found.target)
    )
    assert pictures(*parts) == pictures(whole)
    assert max(pictures(whole).values()) == 1


@pytest.mark.parametrize("limit", [None, 100])
def test_a_fifth_of_each_class_is_held_out_for_validation(limit: int | None) -> None:
    data = load_training("digits", root=NOWHERE, limit=limit)
    trained, held_out = data.training.labels.bincount(), data.validation.labels.bincount()
    assert [round(0.2 * n) for n in (trained + held_out).tolist()] == held_out.tolist()
    if limit is not None:
        assert (trained + held_out).tolist() == [10] * 10


def test_the_split_is_the_same_every_time() -> None:
    torch.manual_seed(1)
    first = load_training("digits", root=NOWHERE, limit=200)
    torch.manual_seed(2)
    second = load_training("digits", root=NOWHERE, limit=200)
    for one, other in ((first.training, second.training), (first.validation, second.validation)):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("limit", [-1, 0, 10, 19])
def test_too_few_images_for_two_of_each_class_are_refused_with_the_least_that_works(limit: int) -> None:
    with pytest.raises(UsageError, match=f"^{limit} images of 10 classes leave some class without") as caught:
        load_training("digits", root=NOWHERE, limit=limit)
    assert caught.value.hint == "Use 20 images or more, or all of them."


def test_two_images_of_each_class_are_one_to_train_on_and_one_to_choose_by() -> None:
    data = load_training("digits", root=NOWHERE, limit=20)
    assert data.training.labels.bincount().tolist() == data.validation.labels.bincount().tolist() == [1] * 10


def test_cifar10_is_read_from_torchvision_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(root: str, *, train: bool, download: bool) -> SimpleNamespace:
        assert (root, download) == ("nowhere", True)
        pixels = np.full((20 if train else 4, 32, 32, 3), (1, 2, 3), dtype=np.uint8)
        return SimpleNamespace(data=pixels, targets=[i % 2 for i in range(len(pixels))], classes=["cat", "dog"])

    monkeypatch.setattr("torchvision.datasets.CIFAR10", read)
    data, test = load_training("cifar10", root=NOWHERE), load_test("cifar10", root=NOWHERE)
    assert (len(data.training), len(data.validation), len(test)) == (16, 4, 4)
    assert (data.input_shape, data.classes) == ((3, 32, 32), 2)
    assert test.pixels[0, :, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar-10-batches-py/test_batch"])
@pytest.mark.parametrize("what", ["link", "pipe"])
def test_nothing_is_unpacked_through_a_link_beside_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10", lambda *_, **__: pytest.fail("torchvision was asked"))
    place = tmp_path / "data" / name
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "mine") if what == "link" else os.mkfifo(place)
    with pytest.raises(InputError, match=f"{place.name} is a {what}"):
        load_training("cifar10", root=tmp_path / "data")


def test_a_folder_is_read_with_a_label_for_each_class_in_the_order_of_names(animals: Path) -> None:
    data = load_training(str(animals), root=NOWHERE)
    assert (data.classes, data.input_shape) == (3, (3, *SIZE))
    together = Images(
        torch.cat([data.training.pixels, data.validation.pixels]),
        torch.cat([data.training.labels, data.validation.labels]),
    )
    assert shades(together) == {0: [0, 1, 2, 3, 4], 1: [10, 11, 12, 13, 14], 2: [20, 21, 22, 23, 24]}
    assert data.validation.labels.bincount().tolist() == [1, 1, 1]


@pytest.mark.parametrize("part", ["test", "val"])
def test_test_labels_mean_the_training_classes_even_if_one_has_no_test_images(animals: Path, part: str) -> None:
    write_images(animals / part / "ant", [100])
    write_images(animals / part / "cat", [120, 121])
    assert shades(load_test(str(animals), root=NOWHERE)) == {0: [100], 2: [120, 121]}


def test_a_test_class_that_training_does_not_know_is_refused(animals: Path) -> None:
    write_images(animals / "test" / "ant", [100])
    write_images(animals / "test" / "bat", [100])
    with pytest.raises(InputError, match=r"test has a class that its training images lack: 'bat'"):
        load_test(str(animals), root=NOWHERE)


@pytest.mark.parametrize("size", [(4, 6), (1, 1), (6, 1), (8, 8)])  # some of these torch would stretch without a word
def test_an_image_of_another_size_is_refused_in_training_and_in_test(animals: Path, size: tuple[int, int]) -> None:
    write_images(animals / "test" / "ant", [100], size)
    words = f"0.png has {size[0]}x{size[1]} pixels, the first training image 6x4"
    with pytest.raises(InputError, match=words):
        load_test(str(animals), root=NOWHERE)
    write_images(animals / "train" / "dog", [100, 101], size)
    with pytest.raises(InputError, match=words):
        load_training(str(animals), root=NOWHERE)


def test_images_of_many_sizes_are_scaled_and_cropped_to_the_one_that_is_asked_for(animals: Path) -> None:
    write_images(animals / "train" / "dog", [100, 101], (9, 30))
    write_images(animals / "test" / "ant", [7], (3, 2))
    data = load_training(str(animals), root=NOWHERE, side=5)
    assert data.input_shape == (3, 5, 5)
    assert shades(data.training)[3] == [101] or shades(data.training)[3] == [100]
    assert load_test(str(animals), root=NOWHERE, side=5).pixels.shape == (1, 3, 5, 5)


def test_what_is_cropped_is_the_middle(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(2):
            stripes = np.zeros((4, 12, 3), dtype=np.uint8)
            stripes[:, 4:8] = 200
            Image.fromarray(stripes).save(tmp_path / "train" / name / f"{i}.png")
    data = load_training(str(tmp_path), root=NOWHERE, side=4)
    assert bool((data.training.pixels == 200).all())


def test_a_data_set_of_one_size_takes_no_other() -> None:
    with pytest.raises(UsageError, match="have a size of their own"):
        load_training("digits", root=NOWHERE, side=5)


def test_of_a_large_folder_only_the_chosen_images_are_decoded(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    read = Encoded.read

    def counted(file: Encoded) -> bytes:
        decoded.append(file)
        return read(file)

    monkeypatch.setattr(Encoded, "read", counted)
    load_training(str(animals), root=NOWHERE, limit=6)
    assert len(decoded) == 1 + 6  # one for the shape


def test_many_images_are_decoded_once_and_mapped_after_that(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded_module, "FEWEST_KEPT", 1)
    root = animals / "kept" / "data"
    first = load_training(str(animals), root=root)
    (kept,) = root.iterdir()
    decode = images_module.decode
    monkeypatch.setattr(images_module, "decode", lambda file, side: decode(file, side) // 2)
    second = load_training(str(animals), root=root)
    assert pictures(first.training) == pictures(second.training)
    assert pictures(first.validation) == pictures(second.validation)

    whole = kept.read_bytes()
    for content in (b"spoilt", b"", b"PK\x03\x04", whole[:-1]):  # what is no good is not believed
        kept.write_bytes(content)
        spoilt = load_training(str(animals), root=root)
        assert max(map(max, shades(spoilt.training).values())) <= 12
    (animals / "train" / "bee" / "3.png").touch()
    load_training(str(animals), root=root)
    assert len(list(root.iterdir())) == 2


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_words(path: Path) -> None:
    path.write_text("no picture")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


def write_16_bits(path: Path) -> None:
    Image.fromarray(np.full(SIZE, 300, dtype=np.uint16)).save(path)


@pytest.mark.parametrize("spoil", [write_nothing, write_words, cut_short, write_16_bits])
def test_an_image_that_cannot_be_read_is_named(animals: Path, spoil: Callable[[Path], None]) -> None:
    spoil(animals / "train" / "bee" / "3.png")
    with pytest.raises(InputError, match=r"^The image .*bee/3\.png (cannot be read|is not one picture of 8 bits)"):
        load_training(str(animals), root=NOWHERE)


def test_a_class_with_one_image_is_refused_by_name(animals: Path) -> None:
    write_images(animals / "train" / "dog", [30])
    with pytest.raises(UsageError, match="The class 'dog' has one training image"):
        load_training(str(animals), root=NOWHERE)


def test_a_class_folder_without_images_is_refused_by_name(animals: Path) -> None:
    (animals / "train" / "dog").mkdir()
    (animals / "train" / "dog" / "notes.txt").write_text("later")
    with pytest.raises(InputError, match=r"class folder .*dog has no images"):
        load_training(str(animals), root=NOWHERE)


def test_a_folder_without_a_part_or_its_classes_says_which(animals: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no test or val folder"):
        load_test(str(animals), root=NOWHERE)
    (animals / "test").mkdir()
    with pytest.raises(InputError, match=r"no class folders in .*test"):
        load_test(str(animals), root=NOWHERE)
    (animals / "test" / "ant").mkdir()
    with pytest.raises(InputError, match=r"no images in .*test"):
        load_test(str(animals), root=NOWHERE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no train folder"):
        load_training(str(tmp_path / "empty"), root=NOWHERE)


def image_folder(root: Path, classes: Sequence[str] = ("a", "b"), count: int = 3) -> Path:
    """Write a data set of grey images, 8x8."""
    for name in classes:
        place = root / "train" / name
        place.mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (i, i, i)).save(place / f"{i}.png")
    return root


def test_links_that_lead_back_end_where_they_started(tmp_path: Path) -> None:
    image_folder(tmp_path)
    for name in ("one", "two"):  # two loops double at every level, where they are followed for ever
        (tmp_path / "train" / "a" / name).symlink_to(tmp_path / "train" / "a")
    (tmp_path / "train" / "a" / "self").symlink_to("self")
    data = load_training(str(tmp_path), root=tmp_path)
    assert len(data.training) + len(data.validation) == 6


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0 no picture"), "cannot be read"),
        (lambda path: Image.new("1", (10_000, 10_001)).save(path), "more than 50,000,000 pixels"),
        (lambda path: path.write_bytes(head_of_png(60_000, 60_000)), "more than 50,000,000 pixels"),
        (lambda path: os.truncate(path, 3 * 2**30), "3,221,225,472 bytes"),
    ],
)
def test_a_broken_or_giant_image_is_one_error_that_names_it(
    tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    image_folder(tmp_path)
    spoil(tmp_path / "train" / "b" / "1.png")
    with pytest.raises(InputError, match=words) as caught:
        load_training(str(tmp_path), root=tmp_path)
    assert "1.png" in str(caught.value)


def head_of_png(width: int, height: int) -> bytes:
    """Return a picture that says how large it is and holds nothing."""
    parts = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b""), b"IEND")
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_pipe_among_the_images_is_left_alone(tmp_path: Path) -> None:
    image_folder(tmp_path)
    os.mkfifo(tmp_path / "train" / "a" / "endless.png")
    assert load_training(str(tmp_path), root=tmp_path).classes == 2


def test_a_single_class_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the single class 'a'"):
        load_training(str(image_folder(tmp_path, classes=("a",))), root=tmp_path)
