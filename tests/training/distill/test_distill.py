"""Teachers label pictures, and students learn from that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch

from edge.errors import DataError
from edge.perception.preprocess import tensor_from_image
from edge.scene import CameraModel, ImageArray
from tests.training.conftest import ALONE, CPU
from training.config.file import with_overrides
from training.config.recipe import Recipe
from training.data.samples.pseudo_samples import MIRROR_SIGN, with_pseudo
from training.data.samples.unlabelled import picture_files
from training.data.sets.pseudo import PseudoDepth, PseudoLayout, PseudoLighting, read_pseudo
from training.data.sources import datasets
from training.distill.encoder import narrow_encoder
from training.distill.label import Labeller, combined, draw_sheet, label_pictures, read_with_camera
from training.distill.teach import Teacher, views
from training.fit import fit
from training.nets.encoders import MobileNetEncoder, load_mobilenet_weights
from training.nets.layout import HorizonNet
from training.tasks.build import build_task, load_task


def _checkpoint(recipe: Recipe, path: Path, seed: int, change: Callable[[torch.nn.Module], None] | None = None) -> Path:
    """A network of random weights as `fit` would have saved it."""
    torch.manual_seed(seed)
    task = build_task(recipe)
    if change is not None:
        with torch.no_grad():
            change(task.net)
            if task.averaged is not None:
                change(task.averaged.module)
    torch.save({"state_dict": task.state_dict(), "recipe": recipe.model_dump(mode="json"), "global_step": 1}, path)
    return path


def _pictures(folder: Path, count: int, seed: int, wh: tuple[int, int] = (128, 64)) -> list[Path]:
    """Blurred noise, saved as pictures."""
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for i in range(count):
        image = cv2.resize(rng.integers(0, 255, (8, 12, 3), dtype=np.uint8), wh, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{seed}-{i}.png"), image)
    return picture_files(folder, (f"{seed}-*",))


def _other_room(net: torch.nn.Module) -> None:
    """Lower the ceiling and raise the floor of what a layout network of random weights says."""
    assert isinstance(net, HorizonNet)
    net.answer.bias.view(3, -1)[1] -= 0.35
    net.answer.bias.view(3, -1)[2] += 0.35


def _answers(checkpoint: Path, pictures: list[Path]) -> torch.Tensor:
    task = load_task(checkpoint)
    images = [tensor_from_image(read_with_camera(p, None)[0], task.recipe.input) for p in pictures]
    with torch.inference_mode():
        return cast(torch.Tensor, task.inference_net(torch.from_numpy(np.stack(images)))[0])


@pytest.mark.slow
def test_a_student_moves_towards_its_teacher_on_unseen_pictures(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """Learning from a teacher's labels of some pictures, a student ends far nearer to it on others."""
    recipe = small_recipe("layout", net={"width": 0.25, "hidden": 32})
    teacher = _checkpoint(recipe, tmp_path / "teacher.ckpt", 1, _other_room)
    student = _checkpoint(recipe, tmp_path / "student.ckpt", 2)
    labeller = Labeller((), [teacher], threads=1)
    label_pictures(_pictures(tmp_path / "seen", 6, 1), tmp_path / "labels", labeller)
    labeller.close()
    learning = with_overrides(
        recipe,
        data={"rooms": box_rooms, "pseudo": tmp_path / "labels", "pseudo_share": 1.0, "weights": student},
        optim={"steps": 60, "batch_size": 4, "validate_every": 60, "lr": 3e-3, "warmup_steps": 5},
    )
    final = fit(learning, tmp_path / "run", hardware=CPU, loading=ALONE, show_progress=False)
    unseen = _pictures(tmp_path / "unseen", 6, 2)
    wanted = _answers(teacher, unseen)
    before = float((_answers(student, unseen) - wanted).abs().mean())
    after = float((_answers(final, unseen) - wanted).abs().mean())
    assert before > 0.3
    assert after < 0.4 * before


def test_training_starts_from_what_a_checkpoint_serves(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """`weights: x.ckpt` gives every tensor of the same network, and refuses one with another encoder."""
    recipe = small_recipe("layout", net={"width": 0.25, "hidden": 32})
    start = _checkpoint(recipe, tmp_path / "a.ckpt", 3)
    task, old = build_task(recipe, weights=start), load_task(start)
    for name, value in old.inference_net.state_dict().items():
        torch.testing.assert_close(task.net.state_dict()[name], value, msg=name)
        torch.testing.assert_close(task.inference_net.state_dict()[name], value, msg=name)
    with pytest.raises(DataError, match=r"same net\.encoder and net\.width"):
        build_task(small_recipe("layout", net={"width": 0.5, "hidden": 32}), weights=start)


def test_views_are_undone(small_recipe: Callable[..., Recipe]) -> None:
    """What lies in a column of the picture lies there again after any view's way back."""
    image = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (32, 1, 3))
    camera = CameraModel("equirectangular", yaw_rad=0.3)
    seen = list(views(image, camera))
    assert len(seen) == 8 and {v.camera.yaw_rad for v in seen} == {0.3, -0.3}
    for view in seen:
        np.testing.assert_array_equal(view.back(view.image[0, :, 0].astype(float)), np.arange(64))
    assert len(list(views(image[:, :40], CameraModel("perspective", hfov_rad=1.0)))) == 2


@pytest.mark.parametrize("task", ["layout", "depth", "lighting"])
def test_every_noun_is_labelled(task: str, tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """A checkpoint of each noun labels a picture, with its teacher's hash as origin, and the sheet shows it."""
    teacher = _checkpoint(small_recipe(task), tmp_path / "teacher.ckpt", 4)
    flat = task == "depth"
    pictures = _pictures(tmp_path / "in", 1, 5, (96, 72) if flat else (128, 64))
    labeller = Labeller((), [teacher], threads=1)
    written = label_pictures(pictures, tmp_path / "out", labeller, hfov_rad=1.2 if flat else None)
    labeller.close()
    pseudo, origin = read_pseudo(written[0])
    assert isinstance(pseudo, {"layout": PseudoLayout, "depth": PseudoDepth, "lighting": PseudoLighting}[task])
    assert len(origin["teachers"]["teacher.ckpt"]) == 64 and origin["picture"] == pictures[0].name
    sheet = cv2.imread(str(draw_sheet(written, tmp_path / "sheet.png")))
    assert sheet is not None and sheet.std() > 5


def test_labels_that_know_no_openings_teach_none(
    tmp_path: Path, box_rooms: Path, small_recipe: Callable[..., Recipe]
) -> None:
    """A network that says openings learns from pseudo-labels beside rooms; of openings these teach it nothing."""
    teacher = _checkpoint(small_recipe("layout"), tmp_path / "teacher.ckpt", 7)
    labeller = Labeller((), [teacher], threads=1)
    label_pictures(_pictures(tmp_path / "in", 1, 8), tmp_path / "labels", labeller)
    labeller.close()
    terms = {"openings": 0.3, "extended": 0.4, "beyond": 0.2, "spread": 0.0}
    recipe = small_recipe("layout", net={"width": 0.25, "hidden": 32, "openings": True}, loss=terms)
    recipe = with_overrides(recipe, data={"rooms": box_rooms, "pseudo": tmp_path / "labels"})
    labelled = datasets(recipe).training
    batches = [with_pseudo(labelled, with_overrides(recipe, data={"pseudo_share": s}))[0][0] for s in (0.0, 1.0)]
    assert {k: v.shape for k, v in batches[0].items()} == {k: v.shape for k, v in batches[1].items()}
    task = build_task(recipe)
    task.loss_of({name: row[None] for name, row in batches[1].items()}).backward()
    assert isinstance(task.net, HorizonNet) and task.net.answer.bias.grad is not None
    assert task.net.answer.bias.grad.abs().max() > 0
    assert task.net.further.bias.grad is not None
    assert task.net.further.bias.grad.abs().max() == 0


def test_a_teachers_light_turns_with_the_picture(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Labels of a mirrored panorama are the mirrored labels; of one turned to the right, what was ahead is right."""
    teacher = Teacher(_checkpoint(small_recipe("lighting"), tmp_path / "t.ckpt", 6), threads=1)
    image: ImageArray = read_with_camera(_pictures(tmp_path / "in", 1, 7)[0], None)[0]
    camera = CameraModel("equirectangular")
    one = teacher.label(image, camera)
    other = teacher.label(np.ascontiguousarray(image[:, ::-1]), camera)
    assert isinstance(one, PseudoLighting) and isinstance(other, PseudoLighting)
    np.testing.assert_allclose(other.coefficients, one.coefficients * MIRROR_SIGN, atol=1e-5)
    quarter = teacher.label(np.ascontiguousarray(np.roll(image, image.shape[1] // 4, axis=1)), camera)
    assert isinstance(quarter, PseudoLighting)
    ambient, forward, up, right = one.coefficients[:4]
    np.testing.assert_allclose(quarter.coefficients[:4], [ambient, -right, up, forward], atol=1e-5)
    assert np.abs([forward, right]).max() > 1e-4


def test_two_opinions_are_joined() -> None:
    """Edges that agree are averaged; of two that do not the surer is kept at half its weight; a lone one as it is."""
    image, mask = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.bool_)

    def said(edge: list[float], weight: list[float]) -> PseudoLayout:
        edges, weights = (np.tile(np.array(v, np.float32), (2, 1)) for v in (edge, weight))
        return PseudoLayout(image, edges, weights, weights[:1], weights[:1], mask)

    joined = combined(said([0.5, 0.5, 0.5, 0.5], [1, 1, 0, 0]), said([0.52, 0.9, 0.7, 0.7], [1, 0.5, 0.8, 0]))
    np.testing.assert_allclose(joined.edges_rad[0, :3], [0.51, 0.5, 0.7], atol=1e-6)
    np.testing.assert_allclose(joined.edge_weight[0], [1, 0.5, 0.8, 0], atol=1e-6)


def test_wrong_requests_are_said(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Nobody to ask, two teachers of one noun, a lens that is not known, a folder without pictures."""
    with pytest.raises(DataError, match="--teacher"):
        Labeller((), ())
    teacher = _checkpoint(small_recipe("layout", net={"width": 0.25, "hidden": 32}), tmp_path / "a.ckpt", 1)
    with pytest.raises(DataError, match="second teacher of layout"):
        Labeller((), (teacher, teacher))
    with pytest.raises(DataError, match="--hfov-deg"):
        read_with_camera(_pictures(tmp_path / "in", 1, 1, (90, 60))[0], None)
    with pytest.raises(DataError, match="no pictures"):
        picture_files(tmp_path, ("nothing*",))


def test_names_that_are_alike_are_told_apart(tmp_path: Path, small_recipe: Callable[..., Recipe]) -> None:
    """Two teachers called best.ckpt keep both their hashes; two pictures of one name are refused."""
    teachers = []
    for seed, noun in enumerate(("layout", "lighting")):
        (tmp_path / noun).mkdir()
        teachers.append(_checkpoint(small_recipe(noun), tmp_path / noun / "best.ckpt", seed))
    labeller = Labeller((), teachers, threads=1)
    assert list(labeller.origin["teachers"]) == ["layout/best.ckpt", "lighting/best.ckpt"]
    with pytest.raises(DataError, match="a: several pictures"):
        label_pictures([tmp_path / "a.png", tmp_path / "x" / "a.jpg"], tmp_path / "out", labeller)
    labeller.close()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_narrow_encoder_learns_the_wide_ones_features(tmp_path: Path) -> None:
    """After a short run it explains a good part of what it could not, and `fit --weights` can read it."""
    torch.manual_seed(0)
    wide = {k: v.numpy() for k, v in MobileNetEncoder().state_dict().items()}
    np.savez(tmp_path / "wide.npz", **wide)
    pictures = [read_with_camera(p, 1.0)[0] for p in _pictures(tmp_path / "in", 6, 1, (96, 96))]
    losses: list[float] = []
    out = tmp_path / "narrow.npz"
    narrow_encoder(
        pictures, tmp_path / "wide.npz", 0.35, out, steps=40, batch_size=4, size_px=64,
        progress=lambda _step, _steps, loss: losses.append(loss),
    )  # fmt: skip
    assert losses[-1] < 0.7 * losses[0]
    encoder = MobileNetEncoder(0.35)
    own = sum(not k.endswith("num_batches_tracked") for k in encoder.state_dict())
    assert load_mobilenet_weights(encoder, out) == own
    with pytest.raises(DataError, match="--pictures"):
        narrow_encoder([], tmp_path / "wide.npz", 0.35, out, steps=1)
