"""Images of one's own: whatever they come as, a search reads the same bytes; what is no image is refused in words."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch.utils.data import TensorDataset

from memprof.base.errors import InputError, UsageError
from memprof.nas.train.data import load_test, load_training
from memprof.nas.train.own import images_from, keep_images
from tests.hostile.mutant import mutate

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 6, 4), dtype=np.uint8)
LABELS = np.arange(40) % 4


@pytest.mark.parametrize(
    "training",
    [
        (PIXELS, LABELS),
        (torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
        (PIXELS.transpose(0, 2, 3, 1), LABELS.astype(np.uint8)),
        ((PIXELS / 255).astype(np.float32), LABELS),
        TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
        list(zip(PIXELS, LABELS.tolist(), strict=True)),
        (list(PIXELS), LABELS.tolist()),
    ],
    ids=["arrays", "tensors", "channels last", "numbers", "Dataset", "pairs", "lists"],
)
def test_all_forms_are_the_same_images(tmp_path: Path, training: Any) -> None:
    keep_images(tmp_path, training, (PIXELS[:8], LABELS[:8]))
    data = load_training("own", root=tmp_path)
    assert (data.classes, data.input_shape) == (4, (3, 6, 4))
    found = {
        (p.numpy().tobytes(), int(n))
        for part in (data.training, data.validation)
        for p, n in zip(part.pixels, part.labels, strict=True)
    }
    assert found == {(p.tobytes(), int(n)) for p, n in zip(PIXELS, LABELS, strict=True)}
    assert torch.equal(load_test("own", root=tmp_path).pixels, torch.from_numpy(PIXELS[:8]))


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ((PIXELS, LABELS[:7]), "40 images and labels"),
        ((PIXELS, LABELS + 1), "not 0, 1, 2"),
        ((PIXELS, LABELS - 1), "whole numbers from 0"),
        ((PIXELS, LABELS.astype(str)), "whole numbers from 0, not .'0'."),
        ((PIXELS, LABELS + 0.5), "whole numbers from 0"),
        ((PIXELS.astype(np.float32), LABELS), "bytes, or numbers from 0 to 1"),
        ((np.full((4, 3, 2, 2), np.nan), LABELS[:4]), "bytes, or numbers from 0 to 1"),
        ((PIXELS[0, 0], LABELS[:6]), "images of shape"),
        ((PIXELS[:0], LABELS[:0]), "0 images"),
        (7, "cannot be used"),
    ],
)
def test_what_is_no_image_is_refused_and_nothing_is_kept(tmp_path: Path, training: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        keep_images(tmp_path / "data", training)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("test", "words"), [((PIXELS[:, :, :5], LABELS), "have the shape"), ((PIXELS, LABELS + 1), "have a class 4")]
)
def test_test_images_unlike_the_others_are_refused_before_anything_trains(
    tmp_path: Path, test: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        keep_images(tmp_path / "data", (PIXELS, LABELS), test)
    assert not (tmp_path / "data").exists()


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    keep_images(tmp_path, (PIXELS, LABELS * 0))
    with pytest.raises(UsageError, match="of one class"):
        load_training("own", root=tmp_path)


def test_without_test_images_there_is_no_test(tmp_path: Path) -> None:
    keep_images(tmp_path, (PIXELS, LABELS))
    with pytest.raises(InputError, match="no own test images"):
        load_test("own", root=tmp_path)
    with pytest.raises(InputError, match="no own training images"):
        load_training("own", root=tmp_path / "elsewhere")


def test_kept_files_that_are_spoilt_are_refused_and_nothing_in_them_runs(tmp_path: Path) -> None:
    keep_images(tmp_path, (PIXELS, LABELS))
    np.save(tmp_path / "own-training-pixels.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="no own training images"):
        load_training("own", root=tmp_path)


FACTORY = """
import numpy as np
def both():
    images = np.zeros((8, 5, 5), dtype=np.uint8)
    return (images, np.arange(8) % 2), (images[:2], np.arange(2))
def one():
    return np.zeros((8, 5, 5), dtype=np.uint8), np.arange(8) % 2
def broken():
    raise ValueError("no disk")
"""


def test_a_function_is_named_called_once_and_its_failure_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_pictures.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(str(tmp_path))
    keep_images(tmp_path / "data", *images_from("my_pictures:both"))
    assert load_training("own", root=tmp_path / "data").input_shape == (1, 5, 5)
    assert len(load_test("own", root=tmp_path / "data")) == 2
    assert images_from("my_pictures:one")[1] is None
    with pytest.raises(InputError, match="my_pictures:broken failed: ValueError: no disk"):
        images_from("my_pictures:broken")
    for name in ("my_pictures:none", "no_such_module:both", "my_pictures", ":both"):
        with pytest.raises(UsageError, match="There is no function"):
            images_from(name)


def heads() -> Iterator[bytes]:
    """Yield what may stand where a .npy file has its head: none, archives, nesting, shapes beyond the file."""
    yield from (b"", b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x80\x04N.")
    yield b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"[" * 9000
    for shape in ("2**9", "4611686018427387904,3,6,4", "-1,3,6,4", "0,3,6,4", "40,3,0,4", "41,3,6,4", "1e3,1,1,1"):
        for kind in ("'|u1'", "'|O'", "'<i8'", "[('a', '<i8')]", "print"):
            text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': ({shape}), }}".encode()
            yield b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


@pytest.mark.parametrize("kind", ["pixels", "labels"])
def test_whatever_lies_where_arrays_were_is_refused_or_is_an_array(tmp_path: Path, kind: str) -> None:
    keep_images(tmp_path, (PIXELS, LABELS))
    path = tmp_path / f"own-training-{kind}.npy"
    whole = path.read_bytes()
    for content in (whole[:-1], *heads()):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no own training images"):
            load_training("own", root=tmp_path)
    for seed in range(100):
        path.write_bytes(mutate(whole[:128], random.Random(seed)) + whole[128:])
        with contextlib.suppress(InputError):
            load_training("own", root=tmp_path)


@pytest.mark.parametrize("label", [40, 10**7, 2**62])
def test_a_label_far_away_is_no_number_of_classes(tmp_path: Path, label: int) -> None:
    keep_images(tmp_path, (PIXELS, LABELS))
    labels = LABELS.copy()
    labels[0] = label
    np.save(tmp_path / "own-training-labels.npy", labels)
    with pytest.raises(InputError, match="a class without an image"):
        load_training("own", root=tmp_path)
