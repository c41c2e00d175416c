"""Images that stay in their files, or in tar shards, are those that would be held in memory, and train alike."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("torchvision")

import numpy as np
import torch
from PIL import Image
from torch import nn

from memprof.base.errors import InputError, UsageError
from memprof.nas.train import ahead, folders
from memprof.nas.train.ahead import Ahead
from memprof.nas.train.data import TrainingData, load_test, load_training
from memprof.nas.train.encoded import Encoded, decode
from memprof.nas.train.images import Images, StreamedImages
from memprof.nas.train.recipe import Recipe
from memprof.nas.train.trainer import Trainer

# torchvision 0.29 names a successor on every picture that it decodes.
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")

CLASSES = ("ant", "bee", "cat")
EACH = 12


def picture(label: int, number: int) -> bytes:
    """Return a PNG of noise, brighter for a higher label."""
    rng = np.random.default_rng((label, number))
    content = io.BytesIO()
    pixels = rng.integers(60 * label, 60 * label + 80, (9, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


PICTURES = {(name, i): picture(label, i) for label, name in enumerate(CLASSES) for i in range(EACH)}


def write_folders(root: Path) -> Path:
    for part in ("train", "val"):
        for (name, i), content in PICTURES.items():
            path = root / part / name / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def by_folders_inside(root: Path, part: str) -> None:
    files = {f"{name}/{i:02}.png": content for (name, i), content in PICTURES.items()}
    write_tar(root / part / "all.tar", files)


def by_names_of_shards(root: Path, part: str) -> None:
    for wanted in CLASSES:
        files = {f"{i:02}.png": content for (name, i), content in PICTURES.items() if name == wanted}
        write_tar(root / part / f"{wanted}.tar", files)


def by_numbers_beside(root: Path, part: str) -> None:
    """Write two shards as WebDataset has them, the samples in turns."""
    for shard in range(2):
        files: dict[str, bytes] = {}
        for (name, i), content in PICTURES.items():
            if (i < EACH // 2) == (shard == 0):
                key = f"s{CLASSES.index(name)}-{i:02}"
                files |= {f"{key}.cls": str(CLASSES.index(name)).encode(), f"{key}.img.png": content}
        write_tar(root / part / f"{part}-{shard:04}.tar", files)


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_HELD_BYTES", 0)


def pixels_of(data: TrainingData) -> list[list[list[int]]]:
    """Return label and pixels of each image of both parts, in an order of their own: shards may have another."""
    parts = (data.training, data.validation)
    return [
        sorted(
            [label, *pixels.flatten().tolist()]
            for label, pixels in zip(part.labels.tolist(), part.pixels, strict=True)
        )
        for part in parts
    ]


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("write", [by_folders_inside, by_names_of_shards, by_numbers_beside])
def test_shards_hold_what_folders_hold(
    write: Callable[[Path, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("train", "val"):
        write(tmp_path / "shards", part)
    found = load_training(str(tmp_path / "shards"), root=tmp_path)
    assert isinstance(found.training, StreamedImages)
    assert load_test(str(tmp_path / "shards"), root=tmp_path).labels.bincount().tolist() == [EACH] * 3
    monkeypatch.undo()
    held = load_training(str(write_folders(tmp_path / "folders")), root=tmp_path)
    assert isinstance(held.training, Images)
    assert pixels_of(found) == pixels_of(held)
    assert pixels_of(load_training(str(tmp_path / "shards"), root=tmp_path)) == pixels_of(held)  # few are held


def test_training_from_files_gives_the_weights_that_training_from_memory_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(write_folders(tmp_path))
    found = []
    for most in (folders.MOST_HELD_BYTES, 0):
        monkeypatch.setattr(folders, "MOST_HELD_BYTES", most)
        monkeypatch.setattr(ahead, "_BYTES_AHEAD", 5 * 9 * 8 * 3)  # five images: fewer than a step takes
        data = load_training(place, root=tmp_path)
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 6, 3))
        trainer = Trainer(data, Recipe(epochs=2, batch=8, first_cycle=2), torch.device("cpu"))
        training, checkpoint = trainer.train(network, seed=1)
        found.append((training, {name: value.tolist() for name, value in checkpoint.weights.items()}))
    assert found[0] == found[1]


def test_what_is_foreseen_is_bounded_and_what_is_not_is_decoded_all_the_same() -> None:
    begun: list[int] = []
    may_end = Event()

    def decode(place: int) -> torch.Tensor:
        begun.append(place)
        may_end.wait(600)
        return torch.tensor([place])

    found = Ahead(decode, image_bytes=ahead._BYTES_AHEAD // 4)
    found.foresee(range(100))
    may_end.set()
    assert [int(tensor) for tensor in found.take([0, 1])] == [0, 1]
    assert [int(tensor) for tensor in found.take([50, 50, 2])] == [50, 50, 2]
    assert max(begun, default=0) == 50
    assert set(begun) <= {*range(7), 50}
    found.foresee([9, 8])  # another epoch
    assert [int(tensor) for tensor in found.take([9])] == [9]


def test_the_two_kinds_of_images_do_not_join(tmp_path: Path, streamed: None) -> None:
    data = load_training(str(write_folders(tmp_path)), root=tmp_path)
    assert len(data.with_validation.training) == len(CLASSES) * EACH
    with pytest.raises(UsageError, match="cannot join"):
        data.training.joined(Images(torch.zeros(1, 3, 9, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)))


def compressed(path: Path) -> None:
    write_tar(path, {"ant/0.png": PICTURES["ant", 0]}, "w:gz")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def without_class(path: Path) -> None:
    write_tar(path, {"a.cls": b"1", "a.png": PICTURES["ant", 0], "b.png": PICTURES["bee", 0]})


def with_words_for_a_class(path: Path) -> None:
    write_tar(path, {"a.cls": b"ant", "a.png": PICTURES["ant", 0]})


def no_tar(path: Path) -> None:
    path.write_bytes(b"no shard")


def write_heads(path: Path, *heads: tuple[bytes, int]) -> None:
    """Write heads of a kind and a size each, and nothing behind them."""
    blocks = []
    for kind, size in heads:
        member = tarfile.TarInfo("notes.txt")
        member.type, member.size = kind, size
        blocks.append(member.tobuf(tarfile.GNU_FORMAT))
    path.write_bytes(b"".join(blocks) + bytes(1024))


def with_a_size_below_zero(path: Path) -> None:
    """Whoever goes on at the end of such a file never comes to an end."""
    write_heads(path, (tarfile.REGTYPE, 0), (tarfile.REGTYPE, -512))


def with_a_name_below_zero(path: Path) -> None:
    write_heads(path, (tarfile.REGTYPE, 0), (tarfile.GNUTYPE_LONGNAME, -512))


def with_a_giant_name(path: Path) -> None:
    write_heads(path, (tarfile.XHDTYPE, 1 << 70))


def with_names_of_names(path: Path) -> None:
    write_heads(path, *[(tarfile.XHDTYPE, 0)] * 3000)


def damaged_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.rindex(b"ustar") - 10] ^= 1
    path.write_bytes(content)


SPOILT = [
    *(compressed, cut, without_class, with_words_for_a_class, no_tar, damaged_in_the_middle),
    *(with_a_size_below_zero, with_a_name_below_zero, with_a_giant_name, with_names_of_names),
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_shard_is_one_error_that_names_it(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    by_folders_inside(tmp_path, "train")
    spoil(tmp_path / "train" / "all.tar")
    with pytest.raises(InputError, match=r"all\.tar"):
        load_training(str(tmp_path), root=tmp_path)


def test_no_picture_of_a_film_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "film.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "one.gif")
    assert decode(Encoded(tmp_path / "one.gif"), None).shape == (3, 8, 8)
    monkeypatch.setattr("torchvision.io.decode_image", lambda *_: pytest.fail("decoded"))
    with pytest.raises(InputError, match="not one picture"):
        decode(Encoded(tmp_path / "film.gif"), None)


@pytest.mark.usefixtures("streamed")
def test_an_image_in_a_shard_that_is_none_is_named_with_its_place(tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": content for (name, i), content in PICTURES.items()}
    write_tar(tmp_path / "train" / "all.tar", files | {"bee/3.png": b"no picture"})
    data = load_training(str(tmp_path), root=tmp_path)
    with pytest.raises(InputError, match=r"all\.tar/bee/3\.png cannot be read"):
        _ = data.with_validation.training.pixels
