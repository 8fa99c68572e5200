"""The networks of a run: found, loaded on the accelerator's thread, shared between nouns, looked after, closed."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent import futures
from functools import partial
from pathlib import Path

from edge.errors import ConfigError, EdgeError, EngineError, NotThereError, UnknownModelError
from edge.inference.accelerator import Accelerator
from edge.inference.installed import InstalledModels
from edge.inference.opening import ServingEvent
from edge.inference.options import InferenceOptions
from edge.inference.serving import ServingBackend, load, plans_of
from edge.inference.store import ModelStore, StoredModel
from edge.inference.trt.build_process import OnProgress, ignore_progress
from edge.monitor.watchdog import extend_until_done, extending
from edge.pipeline.batches import Engine
from edge.scene import Noun, Task

_log = logging.getLogger(__name__)

_GIVE_UP_S = 1.5
"""What is told to stop gives up by itself within this time, as building does, or is left to the end of the process."""


def load_engine(
    store: ModelStore,
    name: str,
    task: Noun,
    options: InferenceOptions,
    *,
    on_progress: OnProgress = ignore_progress,
    stop: threading.Event | None = None,
    may_build: bool = True,
) -> tuple[StoredModel, ServingBackend]:
    """Find, verify, load and prove a model, on the thread that will run it.

    Args:
        store: where models are.
        name: the model's folder.
        task: what it must answer for.
        options: what runs it.
        on_progress: told while TensorRT builds a plan, which takes minutes.
        stop: set it to give up building.
        may_build: whether TensorRT may build a plan that is missing.

    Raises:
        ConfigError: there is no such model, or it is for another task.
        EngineError: it cannot be loaded, or does not reproduce its golden output.
    """
    key = f"tasks.{task}.engine"
    try:
        stored = store.find(name)
    except UnknownModelError as e:
        kind = ConfigError if e.there else NotThereError  # an empty folder is where a disk is to be mounted
        raise kind(key, e.problem, e.remedy) from e
    if task not in stored.manifest.nouns:
        given = ", ".join(stored.manifest.nouns)
        raise ConfigError(key, f"engine {name!r} is for {given}", f"Set it to an engine for {task}")
    plans = plans_of(options, store.root)
    return stored, load(stored, options, plans=plans, on_progress=on_progress, stop=stop, may_build=may_build)


class LoadedEngines:
    """An engine for every task of a run; tasks that name the same one share it."""

    def __init__(
        self,
        root: Path,
        wanted: Mapping[Task, str],
        options: InferenceOptions,
        accelerator: Accelerator,
        *,
        on_progress: Callable[[str], None],
        stop: threading.Event,
        installed: InstalledModels | None = None,
    ) -> None:
        """Load them, one after the other.

        Args:
            root: folder of model folders.
            wanted: the model's folder by task.
            options: what runs them.
            accelerator: whose thread loads, runs and closes them.
            on_progress: told what is being done, for people; systemd is told that it goes on.
            stop: set it to give up.
            installed: models that serve in the place of those of their name; one that cannot is taken back.

        Raises:
            ConfigError: there is no such model, or it is for another task.
            EngineError: one cannot serve, or `stop` was set.
        """
        self._accelerator, self._options, self._store = accelerator, options, ModelStore(root, installed)
        self._installed, self._taken_back = installed, deque[tuple[str, ServingEvent]]()
        self._say, self._stop = on_progress, stop
        self.models: dict[Task, StoredModel] = {}
        self._serving: dict[str, ServingBackend] = {}
        self.by_task: dict[Task, Engine] = {}
        self.object_model: StoredModel | None = None
        self.objects: Engine | None = None
        """What reconstructs objects; None: nothing does."""
        self._load(wanted, may_build=True)

    @property
    def what_reconstructs(self) -> tuple[StoredModel, Engine] | None:
        """The model of objects and what it runs on; None: nothing does."""
        if self.objects is None or self.object_model is None:
            return None
        return self.object_model, self.objects

    def load_objects(self, name: str, *, may_build: bool) -> None:
        """Load what reconstructs objects, if nothing does yet.

        Raises:
            ConfigError: there is no such model, or it is for something else.
            EngineError: it cannot serve, or `stop` was set.
        """
        if self.objects is not None:
            return
        self._say(f"loading objects engine {name!r}")
        tell = extending(lambda progress: self._say(str(progress)))
        load_it = partial(self._load_one, name, "objects", tell, may_build=may_build)
        try:
            model, serving = load_it()
        except EdgeError as error:
            if not self._take_back(name, error):
                raise
            model, serving = load_it()
        self._serving = {**self._serving, name: serving}
        self.object_model, self.objects = model, Engine(model.manifest, serving)

    def add(self, wanted: Mapping[Task, str]) -> None:
        """Load those of tasks that have none yet, while others serve; nothing is built, and inference waits for it.

        Raises:
            ConfigError: there is no such model, or it is for another task.
            EngineError: one cannot serve, or `stop` was set.
        """
        self._load({task: name for task, name in wanted.items() if task not in self.by_task}, may_build=False)

    def _load(self, wanted: Mapping[Task, str], *, may_build: bool) -> None:
        for task, name in sorted(wanted.items()):
            shared = next(
                (t for t, m in self.models.items() if m.folder.name == name and task in m.manifest.parts), None
            )
            if shared is not None:  # one network for several nouns
                self._serves(task, self.models[shared], self.by_task[shared])
                continue
            if self._stop.is_set():
                raise EngineError(f"interrupted before the {task} engine {name!r} was loaded; start again to load it")
            self._say(f"loading {task} engine {name!r}")
            tell = extending(lambda progress: self._say(str(progress)))
            load_it = partial(self._load_one, name, task, tell, may_build=may_build)
            try:
                model, serving = load_it()
            except EdgeError as error:
                if not self._take_back(name, error):
                    raise
                model, serving = load_it()
            self._serving = {**self._serving, name: serving}
            self._serves(task, model, Engine(model.manifest, serving))

    def _load_one(
        self, name: str, task: Noun, tell: OnProgress, *, may_build: bool
    ) -> tuple[StoredModel, ServingBackend]:
        what = (self._store, name, task, self._options)
        loading = self._accelerator.submit(
            partial(load_engine, *what, on_progress=tell, stop=self._stop, may_build=may_build)
        )
        # ONNX Runtime's TensorRT builds too, and reports nothing: it has as long as a build may take.
        extend_until_done(loading, self._options.build.timeout_s, stop=self._stop)
        try:
            return loading.result(_GIVE_UP_S if self._stop.is_set() else None)
        except futures.TimeoutError:
            raise EngineError(f"interrupted while the {task} engine {name!r} was loaded; start again") from None

    def _take_back(self, name: str, error: EdgeError) -> bool:
        """Whether there was an installed model that could not be loaded, and the one before it may be."""
        if self._installed is None or self._installed.serving(name) is None or self._stop.is_set():
            return False
        self._installed.take_back(name, str(error))
        text = f"{name}: the installed model cannot serve, the one before it does: {error}"
        _log.error("%s", text)
        self._taken_back.append((name, ServingEvent("model_rolled_back", text)))
        return True

    # Another model in the place of one, while it serves ---------------------------------------------------------------

    def names(self) -> dict[str, tuple[Task, ...]]:
        """Of the models that serve, with the tasks that they answer for."""
        tasks: dict[str, tuple[Task, ...]] = {}
        for task, model in self.models.items():
            tasks[model.folder.name] = (*tasks.get(model.folder.name, ()), task)
        return tasks

    def load_other(self, root: Path, name: str, tasks: tuple[Task, ...]) -> tuple[StoredModel, ServingBackend]:
        """Another model for these tasks, loaded and proved beside what serves; nothing is built, inference waits.

        Raises:
            EngineError: it is for other tasks, or cannot serve.
        """
        stored = ModelStore(root).find(name)
        missing = [task for task in tasks if task not in stored.manifest.parts]
        if missing:
            raise EngineError(f"{name} does not answer for {', '.join(missing)}; install it under another name")
        plans = plans_of(self._options, self._store.root)
        loading = self._accelerator.submit(
            partial(load, stored, self._options, plans=plans, stop=self._stop, may_build=False)
        )
        return stored, loading.result()

    def replace(self, name: str, model: StoredModel, serving: ServingBackend) -> tuple[StoredModel, ServingBackend]:
        """It answers for the tasks of that name from now on; what did until now, still loaded."""
        tasks = self.names()[name]
        before = self.models[tasks[0]], self._serving[name]
        self._serving = {**self._serving, name: serving}
        engine = Engine(model.manifest, serving)
        for task in tasks:
            self._serves(task, model, engine)
        return before

    def _serves(self, task: Task, model: StoredModel, engine: Engine) -> None:
        """Others may be reading: what they read does not change, another takes its place."""
        self.models, self.by_task = {**self.models, task: model}, {**self.by_task, task: engine}

    def degraded(self) -> tuple[str, ...]:
        """What serves less than was asked for, and why."""
        return tuple(f"engine {name}: {s.degraded}" for name, s in self._serving.items() if s.degraded is not None)

    def take_events(self) -> list[tuple[str, ServingEvent]]:
        """What happened to them since the last time, with the folder's name."""
        own = [self._taken_back.popleft() for _ in range(len(self._taken_back))]
        return own + [(name, event) for name, serving in self._serving.items() for event in serving.take_events()]

    def close(self) -> None:
        """Free them, after all that was given to the accelerator before."""
        for serving in self._serving.values():
            self._accelerator.submit(serving.close)
        self._serving.clear()
